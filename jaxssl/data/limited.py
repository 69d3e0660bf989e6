"""A part of a source, evenly spread over it."""

from typing import Literal

import numpy as np

from jaxssl.data import order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.source import Records, Source, fingerprint


class Limited:
  """Some records of a source: record i of n is i * N // n of its N.

  The same records that `pipeline.eval_batches` reads with `limit=n`.

  Args:
    source: what to take from.
    limit: n; at most all records are there.
  """

  content: Literal['pixels', 'bytes', 'paths']

  def __init__(self, source: Source, limit: int):
    self._source = source
    self.content = source.content
    self.name = source.name
    self.class_names = source.class_names
    self.captions = None
    self.num_examples = min(limit, source.num_examples)

  @cached_property
  def fingerprint(self) -> str:
    """Hash of what it holds; see `source.Source`."""
    return fingerprint(self._source.fingerprint, str(self.num_examples))

  @cached_property
  def identity(self) -> str:
    """The same but for the times of files."""
    return fingerprint(self._source.identity, str(self.num_examples))

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return self._source.fetch(self._originals(indices))

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return self._source.describe(int(self._originals(np.asarray(index))))

  def _originals(self, indices: np.ndarray) -> np.ndarray:
    return indices * self._source.num_examples // self.num_examples
