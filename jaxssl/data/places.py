"""Folders of pictures, here or in a store, as `Folder` and `Table` need them.

Names are paths below the folder. Files of this machine are left to TensorFlow,
which reads them in parallel; those of a store are read for a whole batch at
once.

Only regular files are opened: to open a pipe or a device may wait for ever.
What is none, or cannot be read, is empty, and an empty record is handled like
any other that is no picture.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import os
import pathlib
import posixpath
import stat
from typing import Literal

import numpy as np

from jaxssl.data import remote
from jaxssl.errors import UserError
from jaxssl.paths import is_remote


def absolute(path: str | os.PathLike[str]) -> str:
  """Returns where a path lies, whatever the folder at hand; `~` is a home."""
  if is_remote(path):
    return os.fspath(path)
  return os.path.abspath(os.path.expanduser(path))


def place(path: str | os.PathLike[str]) -> 'Place':
  """Returns the folder of a path, which need not exist."""
  if is_remote(path):
    return Remote(os.fspath(path).rstrip('/'))
  return Local(pathlib.Path(path).expanduser())


class Local:
  """A folder of this machine."""

  content: Literal['paths'] = 'paths'

  def __init__(self, path: pathlib.Path):
    self._path = path

  def __str__(self) -> str:
    return str(self._path)

  def __truediv__(self, name: str) -> 'Local':
    return Local(self._path / name)

  def is_dir(self) -> bool:
    """Whether it exists."""
    return self._path.is_dir()

  def files(
    self, endings: tuple[str, ...], *, below: str = os.curdir
  ) -> Iterator[str]:
    """Yields visible files below it, in any order; links are followed.

    Args:
      endings: of the files.
      below: only those in this folder below it.
    """
    seen = set()
    # A name that is no UTF-8 survives as surrogate escapes.
    walk = os.walk(self._path / below, followlinks=True, onerror=_refuse)
    for folder, folders, names in walk:
      real = os.path.realpath(folder)
      if real in seen:
        folders.clear()
        continue
      seen.add(real)
      # Sorted, so that of two links to one folder always the same is entered.
      folders[:] = sorted(name for name in folders if not name.startswith('.'))
      # Once a folder and not once a file, of which there may be millions.
      inner = os.path.relpath(folder, self._path)
      inner = '' if inner == os.curdir else inner
      for name in names:
        if not name.startswith('.') and name.lower().endswith(endings):
          yield os.path.join(inner, name)

  def existing(self, names: Iterable[str]) -> set[str]:
    """Returns which of some names are files."""
    return {name for name in names if name and (self._path / name).is_file()}

  def states(self, names: Sequence[str]) -> tuple[np.ndarray, bytes]:
    """Returns bytes of each file, int64 [n], and when all were written.

    What is no file has -1 bytes.
    """
    root = os.fspath(self._path)  # joined texts cost a tenth of joined paths
    states = np.array(
      [_state(os.path.join(root, name)) for name in names], np.int64
    ).reshape(-1, 2)
    return np.ascontiguousarray(states[:, 0]), states[:, 1].tobytes()

  def read(
    self, names: Sequence[str], *, most: int | None = None
  ) -> list[bytes]:
    """Returns the content of files, of each at most so many bytes."""
    return [read_file(self._path / name, most) for name in names]

  def reader(self, names: Sequence[str]) -> Callable[..., list[bytes]]:
    """Returns what reads files by their numbers, see `hold_out.Read`."""

    def read(rows: Sequence[int], *, most: int | None = None) -> list[bytes]:
      return self.read([names[row] for row in rows], most=most)

    return read

  def records(self, names: Sequence[bytes]) -> np.ndarray:
    """Returns what `Source.fetch` gives of some files, object [b]."""
    root = os.fsencode(self._path)
    return np.array([os.path.join(root, name) for name in names], object)

  def describe(self, name: str) -> str:
    """Returns the whole path of a file."""
    return str(self._path / name)


class Remote:
  """A folder of a store; names may also be whole remote paths."""

  content: Literal['bytes'] = 'bytes'

  def __init__(self, path: str):
    self._path = path
    # Size and state of every file that was asked for.
    self._states: dict[str, tuple[int, str]] = {}

  def __str__(self) -> str:
    return self._path

  def __truediv__(self, name: str) -> 'Remote':
    return Remote(f'{self._path}/{name}')

  def is_dir(self) -> bool:
    """Whether it exists."""
    return remote.filesystem(self._path).isdir(self._path)

  def files(
    self, endings: tuple[str, ...], *, below: str = os.curdir
  ) -> Iterator[str]:
    """Yields visible files below it, or a folder of it, in any order."""
    start = '' if below == os.curdir else f'{below}/'
    for name, state in self._listing(start).items():
      visible = not any(
        part.startswith('.') for part in name.removeprefix(start).split('/')
      )
      if visible and name.lower().endswith(endings):
        self._states[name] = state
        yield name

  def existing(self, names: Iterable[str]) -> set[str]:
    """Returns which of some names are files."""
    names = {name for name in names if name}
    files = remote.filesystem(self._path)
    there = {}
    # A listing of each folder takes fewer questions than one for each file.
    for folder in sorted({posixpath.dirname(self.describe(n)) for n in names}):
      try:
        listing = files.ls(folder, detail=True)
      except FileNotFoundError:
        continue
      for each in listing:
        if each['type'] == 'file':
          there[files._strip_protocol(each['name'])] = remote.state_of(each)
    whole = {name: files._strip_protocol(self.describe(name)) for name in names}
    found = {name for name, path in whole.items() if path in there}
    self._states |= {name: there[whole[name]] for name in found}
    return found

  def states(self, names: Sequence[str]) -> tuple[np.ndarray, bytes]:
    """Returns bytes of each file, int64 [n], and what tells their states."""
    states = [self._states[name] for name in names]
    sizes = np.array([size for size, _ in states], np.int64)
    return sizes, '\n'.join(state for _, state in states).encode()

  def read(
    self, names: Sequence[str], *, most: int | None = None
  ) -> list[bytes]:
    """Returns the content of files, of each at most so many bytes."""
    paths = [self.describe(name) for name in names]
    return remote.read_places(paths, None if most is None else 0, most)

  def reader(self, names: Sequence[str]) -> Callable[..., list[bytes]]:
    """Returns what reads files by their numbers, see `hold_out.Read`."""

    def read(rows: Sequence[int], *, most: int | None = None) -> list[bytes]:
      return self.read([names[row] for row in rows], most=most)

    return read

  def records(self, names: Sequence[bytes]) -> np.ndarray:
    """Returns what `Source.fetch` gives of some files, object [b]."""
    content = np.empty(len(names), object)
    content[:] = self.read([os.fsdecode(name) for name in names])
    return content

  def describe(self, name: str) -> str:
    """Returns the whole path of a file."""
    return name if is_remote(name) else f'{self._path}/{name}'

  def _listing(self, start: str) -> dict[str, tuple[int, str]]:
    """Returns size and state of every file in a folder, in one question."""
    files = remote.filesystem(self._path)
    root = files._strip_protocol(self._path).rstrip('/') + '/'
    found = files.find(f'{self._path}/{start}'.rstrip('/'), detail=True)
    return {
      path.removeprefix(root): remote.state_of(info)
      for path, info in found.items()
    }


Place = Local | Remote


def _refuse(error: OSError) -> None:
  # Otherwise all that lies in it would be missing, and nothing would say so.
  raise UserError(f'{error.filename} cannot be read: {error.strerror}')


def _state(path: str) -> tuple[int, int]:
  """Returns bytes of a file and when it was written; (-1, 0) without one."""
  try:
    status = os.stat(path)
  # A link to nothing, or to itself.
  except OSError:
    return -1, 0
  is_file = stat.S_ISREG(status.st_mode)
  return (status.st_size, status.st_mtime_ns) if is_file else (-1, 0)


def read_file(
  path: str | bytes | os.PathLike[str], most: int | None = None
) -> bytes:
  """Returns the content of a file of this machine, or its first bytes.

  Args:
    path: where it lies.
    most: number of bytes to read; None for all.

  Returns:
    The bytes; none where there is no regular file, or it cannot be read.
  """
  try:
    if not os.path.isfile(path):
      return b''
    with open(path, 'rb') as file:
      return file.read(-1 if most is None else most)
  except OSError:
    return b''
