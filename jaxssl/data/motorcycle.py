"""Crops of a photograph with measured depth, which ships with scikit-image.

The scene Motorcycle of Middlebury's stereo data of 2014 (Scharstein et al.),
the left picture. Depth follows from the disparity d in pixels:
Z = f b / (d + c), with focal length f, baseline b and the shift c of the
principal points, as scikit-image documents them.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxssl.data import order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.optional import require
from jaxssl.data.order import mix64
from jaxssl.data.photos import TRAIN_SHARE
from jaxssl.data.source import Records, fingerprint
from jaxssl.data.targets import Computed, Kind, Targets
from jaxssl.errors import UserError, unknown

COUNTS = {'train': 1024, 'test': 256}
# Pixels, metres, pixels.
_FOCAL, _BASELINE, _SHIFT = 994.978, 0.193001, 31.086


class Motorcycle:
  """Square crops of a photograph, with the depth of each pixel in metres.

  Training crops lie in the left 65 % of the columns, test crops in the rest, so
  that no pixel is in both; positions are uniform and overlap.

  Args:
    split: `'train'` or `'test'`.
    size: side of the crops in pixels, at most 260.
    count: number of crops; default 1024 for training and 256 for test.
    seed: seed of the positions.

  Raises:
    UserError: for an unknown split, a size that does not fit, or without
      scikit-image.
  """

  content: Literal['pixels'] = 'pixels'
  captions = None
  class_names = None

  def __init__(
    self,
    *,
    split: str = 'train',
    size: int = 64,
    count: int | None = None,
    seed: int = 0,
  ):
    if split not in COUNTS:
      raise unknown('split of motorcycle', split, COUNTS)
    image, _, disparity = require(
      'skimage.data', extra='photos'
    ).stereo_motorcycle()
    # Where nothing was measured the disparity is infinite, not NaN as its page
    # says; the formula would put these pixels at depth 0.
    known = np.isfinite(disparity)
    depth = _FOCAL * _BASELINE / (disparity + _SHIFT)
    border = int(TRAIN_SHARE * image.shape[1])
    own = slice(None, border) if split == 'train' else slice(border, None)
    self._image = image[:, own]
    self._depth = np.where(known, depth, np.nan)[:, own]
    smallest = min(self._image.shape[:2])
    if not 16 <= size <= smallest or (count is not None and count < 1):
      raise UserError(
        f'motorcycle: size is {size} and count {count}; they must be from 16 '
        f'to {smallest} and at least 1'
      )
    self.name = f'motorcycle/{split}'
    self.num_examples = COUNTS[split] if count is None else count
    self._size = size
    self._key = seed, int(split == 'test')

  @cached_property
  def fingerprint(self) -> str:
    """Hash of all that the crops depend on; see `source.Source`."""
    values = (*self._key, self._size, self.num_examples)
    return fingerprint('motorcycle', repr(values), self._image, self._depth)

  @property
  def identity(self) -> str:
    """The same hash; see `source.Source`."""
    return self.fingerprint

  @property
  def targets(self) -> Mapping[Kind, Targets]:
    """Depth in metres; see `targets.DenseSource`."""
    return {'depth': Computed(self._depth_of)}

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    crops = [self._image[self._place(i)] for i in indices.tolist()]
    return Records(
      content=np.stack(crops), label=np.full(len(crops), -1, np.int32)
    )

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return f'{self.name}[{index}]'

  def _depth_of(self, index: int) -> np.ndarray:
    return self._depth[self._place(index)].astype(np.float32)

  def _place(self, index: int) -> tuple[slice, slice]:
    room = [side - self._size + 1 for side in self._image.shape[:2]]
    draws = mix64(*self._key, index, np.arange(2))
    top, left = (draws % np.array(room, np.uint64)).astype(int).tolist()
    return slice(top, top + self._size), slice(left, left + self._size)
