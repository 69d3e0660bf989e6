"""Files and folders that appear whole or not at all."""

from collections.abc import Callable, Generator
import contextlib
import os
import pathlib
import shutil
import tempfile
from typing import BinaryIO

from jaxssl import errors
from jaxssl.paths import Path, is_remote


def write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
  """Writes beside the file and renames, so that no reader sees a half.

  The content is on disk before the name is: after a power cut the file is the
  old one or the new one. An object of a store is replaced at once, when all of
  it is there.

  Args:
    path: file to write or replace; its folder is made.
    fill: writes the content into the open file.

  Raises:
    jaxssl.errors.UserError: if the file system refuses.
  """
  if is_remote(path):
    _put(path, fill)
    return
  # The process id keeps two commands on one run apart.
  partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      with pathlib.Path(partial).open('wb') as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
      partial.replace(path)
    finally:
      partial.unlink(missing_ok=True)
  except OSError as error:
    raise errors.UserError(
      f'cannot write {path}: {error.strerror or error}; choose a folder that '
      'can be written and has space'
    ) from error


@contextlib.contextmanager
def folder(path: pathlib.Path) -> Generator[pathlib.Path]:
  """Gives an empty folder whose files appear in `path` at the end.

  They appear together where `path` is absent or empty, else one after another,
  in the order of their names. After an error nothing has appeared.

  Args:
    path: folder to make or to add to, on this machine.

  Raises:
    jaxssl.errors.UserError: if the file system refuses.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
      dir=path.parent, prefix=f'.{path.name}.', suffix='.partial'
    ) as place:
      partial = pathlib.Path(place) / path.name
      partial.mkdir()  # unlike its parent with the usual rights
      yield partial
      if not path.exists() or not any(path.iterdir()):
        partial.rename(path)
        return
      for file in sorted(partial.iterdir()):
        file.replace(path / file.name)
  except OSError as error:
    raise errors.UserError(
      f'cannot write {path}: {error.strerror or error}; choose a folder that '
      'can be written and has space'
    ) from error


def _put(path: Path, fill: Callable[[BinaryIO], object]) -> None:
  with tempfile.TemporaryFile() as file:
    fill(file)
    file.seek(0)
    try:
      with path.open('wb') as target:
        shutil.copyfileobj(file, target)
    # Each client of a store raises what it likes.
    except Exception as error:
      raise errors.UserError(
        f'cannot write {path}: {type(error).__name__}: {error}; choose a '
        'folder that can be written'
      ) from error


def write_text(path: Path, text: str) -> None:
  """Writes a text in UTF-8, see `write`."""
  write(path, lambda file: file.write(text.encode()))
