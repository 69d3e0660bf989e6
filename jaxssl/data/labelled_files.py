"""What a folder and a table have in common, once their records are found."""

from typing import Literal

import numpy as np

from jaxssl.data import order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.captions import Captions
from jaxssl.data.picture_files import PictureFiles
from jaxssl.data.source import Records, fingerprint


class LabelledFiles:
  """Files of pictures with labels, and captions or none; see `source.Source`.

  The constructor of a subclass sets the attributes.

  Attributes:
    name: what messages call it.
    num_examples: number of records n.
    class_names: name of each label, or None if there are no labels.
    captions: of every record, or None.
  """

  name: str
  num_examples: int
  class_names: tuple[str, ...] | None
  captions: Captions | None
  _files: PictureFiles
  _labels: np.ndarray

  @property
  def content(self) -> Literal['paths', 'bytes']:
    """What `fetch` gives; see `source.Source`."""
    return self._files.content

  @cached_property
  def identity(self) -> str:
    """Hash of what copies of it share; see `source.Source`."""
    texts = self.captions.arrays.values() if self.captions else ()
    return fingerprint(
      self._files.identity,
      self._labels,
      repr(self.class_names),
      *texts,
    )

  @cached_property
  def fingerprint(self) -> str:
    """Hash that also changes when a file is written again."""
    return fingerprint(self.identity, self._files.states)

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return Records(
      content=self._files.records(indices), label=self._labels[indices]
    )

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a file."""
    return self._files.describe(index)
