"""The files of a source that has one for each picture."""

from collections.abc import Sequence
import os
from typing import Literal

import numpy as np

from jaxssl.data import identity
from jaxssl.data.cached_property import cached_property
from jaxssl.data.places import Place, read_file
from jaxssl.data.scattered import Scattered
from jaxssl.data.source import fingerprint


class PictureFiles:
  """Files below a folder, in a fixed order.

  Args:
    root: the folder, here or in a store.
    names: paths below it.
  """

  def __init__(self, root: Place | Scattered, names: Sequence[str]):
    self._root = root
    self.content: Literal['paths', 'bytes'] = root.content
    # Bytes of a fixed width: one object for a hundred million names.
    self._names = np.array([os.fsencode(name) for name in names])

  def __len__(self) -> int:
    return len(self._names)

  def records(self, indices: np.ndarray) -> np.ndarray:
    """Returns what `Source.fetch` gives of some files, object [b].

    Pipes, devices and links to nothing are not opened: their records are empty.
    """
    records = self._root.records(self._names[indices].tolist())
    records[self._states[0][indices] < 0] = b''
    return records

  def contents(self, indices: np.ndarray) -> list[bytes]:
    """Returns the bytes of some files; empty where they cannot be read."""
    records = self.records(indices).tolist()
    return records if self.content == 'bytes' else [*map(read_file, records)]

  def describe(self, index: int) -> str:
    """Returns the whole path of a file."""
    return self._root.describe(os.fsdecode(self._names[index]))

  @cached_property
  def identity(self) -> str:
    """Hash of names, sizes and the content of a sample."""
    return fingerprint(
      b'\n'.join(self._names.tolist()),
      self._states[0],
      identity.of_sample(len(self), self.contents),
    )

  @property
  def states(self) -> bytes:
    """What changes when a file is written again."""
    return self._states[1]

  @cached_property
  def _states(self) -> tuple[np.ndarray, bytes]:
    return self._root.states(list(map(os.fsdecode, self._names.tolist())))
