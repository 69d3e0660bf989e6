"""Files of a table that lie beside it and in other stores as well."""

from collections.abc import Callable, Iterable, Sequence
import os
from typing import Literal

import numpy as np

from jaxssl.data.places import Place, Remote
from jaxssl.paths import is_remote


def store_of(path: str | os.PathLike[str]) -> str:
  """Returns the store of a path, such as `gs://bucket`; '' for this machine."""
  text = os.fspath(path)
  return '/'.join(text.split('/', 3)[:3]) if is_remote(text) else ''


class Scattered:
  """A folder whose names may also be whole paths of any store.

  Everything is read here and not by TensorFlow, also what lies on this machine.

  Args:
    home: where names lie that are no whole paths.
  """

  content: Literal['bytes'] = 'bytes'

  def __init__(self, home: Place):
    self._home = home
    self._places: dict[str, Place] = {store_of(str(home)): home}

  def __str__(self) -> str:
    return str(self._home)

  def existing(self, names: Iterable[str]) -> set[str]:
    """Returns which of some names are files."""
    names = list(names)
    found = set()
    for place, rows in self._groups(names):
      found |= place.existing([names[row] for row in rows])
    return found

  def states(self, names: Sequence[str]) -> tuple[np.ndarray, bytes]:
    """Returns bytes of each file, int64 [n], and what tells their states."""
    sizes, states = np.full(len(names), -1, np.int64), []
    for place, rows in self._groups(names):
      sizes[rows], state = place.states([names[row] for row in rows])
      states.append(state)
    return sizes, b'\n'.join(states)

  def read(
    self, names: Sequence[str], *, most: int | None = None
  ) -> list[bytes]:
    """Returns the content of files, of each at most so many bytes."""
    content = [b''] * len(names)
    for place, rows in self._groups(names):
      found = place.read([names[row] for row in rows], most=most)
      for row, each in zip(rows, found, strict=True):
        content[row] = each
    return content

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
    return name if is_remote(name) else self._home.describe(name)

  def _groups(self, names: Sequence[str]) -> list[tuple[Place, list[int]]]:
    """Returns the places of some names, and which names lie in each."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
      store = store_of(name) or store_of(str(self._home))
      rows.setdefault(store, []).append(row)
    for store in rows.keys() - self._places.keys():
      self._places[store] = Remote(store)
    return [(self._places[store], own) for store, own in rows.items()]
