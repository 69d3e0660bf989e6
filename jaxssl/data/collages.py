"""Collages of photographs that ship with scikit-image: real masks, offline.

A picture is cut by straight lines into two to four parts, and each is filled
from another photograph. Which photograph a pixel is of is its class.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxssl.data import order, photos
from jaxssl.data.cached_property import cached_property
from jaxssl.data.order import mix64, uniform
from jaxssl.data.source import Records, fingerprint
from jaxssl.data.targets import Computed, Kind, Targets
from jaxssl.errors import UserError, unknown

COUNTS = {'train': 2048, 'test': 256}
# A change of the pictures is a new number: results name it.
_VERSION = 1
_MOST_PARTS = 4


class Collages:
  """Pictures whose parts are of several photographs.

  Parts are the places that are nearest to one of two to four random points.
  Those of training pictures come from the left 65 % of the columns of each
  photograph, those of test pictures from the rest, as in `photos`: no pixel is
  in both. Nothing is reduced: a pixel is one of the photograph.

  Args:
    split: `'train'` or `'test'`.
    size: side of the pictures in pixels, at most 134.
    count: number of pictures; default 2048 for training and 256 for test.
    pictures: names of the photographs, in the order of their classes.
    seed: seed of everything.

  Raises:
    UserError: for an unknown split or photograph, a size that does not fit, or
      without scikit-image.
  """

  content: Literal['pixels'] = 'pixels'
  captions = None

  def __init__(
    self,
    *,
    split: str = 'train',
    size: int = 64,
    count: int | None = None,
    pictures: tuple[str, ...] = photos.PICTURES,
    seed: int = 0,
  ):
    if split not in COUNTS:
      raise unknown('split of collages', split, COUNTS)
    self._regions = [photos.region(name, split) for name in pictures]
    smallest = min(min(r.shape[:2]) for r in self._regions)
    if not 16 <= size <= smallest or (count is not None and count < 1):
      raise UserError(
        f'collages: size is {size} and count {count}; they must be from 16 to '
        f'{smallest} and at least 1'
      )
    if len(pictures) < 2:
      raise UserError('collages: give at least two photographs')
    self.name = f'collages/{split}'
    self.class_names = tuple(pictures)
    self.num_examples = COUNTS[split] if count is None else count
    self._size = size
    self._key = seed, int(split == 'test')

  @cached_property
  def fingerprint(self) -> str:
    """Hash of all that the pictures depend on; see `source.Source`."""
    values = (_VERSION, *self._key, self._size, self.num_examples)
    return fingerprint('collages', repr(values), *self._regions)

  @property
  def identity(self) -> str:
    """The same hash; see `source.Source`."""
    return self.fingerprint

  @property
  def targets(self) -> Mapping[Kind, Targets]:
    """Which photograph each pixel is of; see `targets.DenseSource`."""
    return {'mask': Computed(lambda i: self._draw(i)[1], self.class_names)}

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; the label is the class of most pixels."""
    drawn = [self._draw(i) for i in indices.tolist()]
    labels = [np.bincount(mask.ravel()).argmax() for _, mask in drawn]
    return Records(
      content=np.stack([image for image, _ in drawn]),
      label=np.array(labels, np.int32),
    )

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return f'{self.name}[{index}]'

  def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a picture and its mask."""
    draws = uniform(*self._key, index, np.arange(1 + 4 * _MOST_PARTS))
    parts = draws[1:].reshape(_MOST_PARTS, 4)
    count = min(2 + int(draws[0] * (_MOST_PARTS - 1)), len(self._regions))
    # The first ones of a random order: no photograph comes twice.
    keys = mix64(*self._key, index, 1 << 20, np.arange(len(self._regions)))
    chosen = np.argsort(keys)[:count]
    nearest = _nearest(self._size, parts[:count, :2])
    image = np.zeros((self._size, self._size, 3), np.uint8)
    for number, (label, draw) in enumerate(zip(chosen, parts, strict=False)):
      crop = _crop(self._regions[label], self._size, draw[2:])
      image[nearest == number] = crop[nearest == number]
    return image, chosen[nearest].astype(np.int32)


def _nearest(size: int, points: np.ndarray) -> np.ndarray:
  """Returns the number of the nearest point of each pixel, int [S, S]."""
  middles = np.arange(size) + 0.5
  places = np.stack(np.meshgrid(middles, middles, indexing='ij'), axis=-1)
  away = np.linalg.norm(places[:, :, None] - size * points, axis=-1)
  return away.argmin(axis=-1)


def _crop(region: np.ndarray, size: int, draw: np.ndarray) -> np.ndarray:
  top, left = (
    int(d * (side - size + 1))
    for d, side in zip(draw, region.shape[:2], strict=True)
  )
  return region[top : top + size, left : left + size]
