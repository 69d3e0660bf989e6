"""Pictures of one size that lie in memory."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from jaxssl.data import labels as labels_lib
from jaxssl.data import order
from jaxssl.data.captions import Captions
from jaxssl.data.source import Records, fingerprint
from jaxssl.errors import UserError


class Arrays:
  """A source over an array of pictures.

  Args:
    images: uint8 [n, H, W, 3], or [n, H, W] and [n, H, W, 1] for gray.
    labels: whole numbers [n], -1 where unknown; None if there are none.
    class_names: name of each label.
    captions: one or more texts for each picture; None if there are none.
    name: what messages call the source.

  Raises:
    UserError: if there are no pictures, or shapes or types do not fit.
  """

  content: Literal['pixels'] = 'pixels'

  def __init__(
    self,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    class_names: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    name: str = 'arrays',
  ):
    self._images = _to_rgb(np.asarray(images))
    count = len(self._images)
    if labels is None:
      labels = np.full(count, labels_lib.UNKNOWN)
    self._labels = labels_lib.of_array(labels, source=name)
    if self._labels.shape != (count,):
      raise UserError(
        f'{name}: labels have shape {self._labels.shape}, expected ({count},)'
      )
    self.name = name
    self.num_examples = count
    self.class_names = None if class_names is None else tuple(class_names)
    self.captions = _captions(captions, count, name)
    texts = self.captions.arrays.values() if self.captions else ()
    # Of all pixels, so there is nothing that it could miss.
    self.fingerprint = self.identity = fingerprint(
      str(self._images.shape),
      self._images,
      self._labels,
      repr(self.class_names),
      *texts,
    )

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return Records(content=self._images[indices], label=self._labels[indices])

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return f'{self.name}[{index}]'


def _captions(
  captions: Sequence[Sequence[str]] | None, count: int, name: str
) -> Captions | None:
  if captions is None:
    return None
  if len(captions) != count or not all(captions):
    raise UserError(f'{name}: each of the {count} pictures needs a caption')
  return Captions.from_texts(captions)


def _to_rgb(images: np.ndarray) -> np.ndarray:
  if images.dtype != np.uint8:
    raise UserError(f'pictures must be uint8 (0 to 255), got {images.dtype}')
  if images.ndim == 3:
    images = images[..., None]
  if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
    raise UserError(
      f'pictures must have shape [n, H, W, 3] with n > 0, got {images.shape}'
    )
  shape = (*images.shape[:3], 3)
  return np.ascontiguousarray(np.broadcast_to(images, shape))
