"""Some records of a source, chosen by their numbers."""

from typing import Literal

import numpy as np

from jaxssl.data import order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.source import Records, Source, fingerprint


class Subset:
  """Record i is record `indices[i]` of another source.

  Args:
    source: what to take from.
    indices: int64 [n], numbers of its records.
  """

  content: Literal['pixels', 'bytes', 'paths']

  def __init__(self, source: Source, indices: np.ndarray):
    self._source, self._indices = source, indices
    self.content = source.content
    self.name = source.name
    self.class_names = source.class_names
    self.captions = None
    self.num_examples = len(indices)

  @cached_property
  def fingerprint(self) -> str:
    """Hash of what it holds; see `source.Source`."""
    return fingerprint(self._source.fingerprint, self._indices)

  @cached_property
  def identity(self) -> str:
    """The same but for the times of files."""
    return fingerprint(self._source.identity, self._indices)

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return self._source.fetch(self._indices[indices])

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return self._source.describe(int(self._indices[index]))
