"""Rendered shapes of which everything is known: class, depth, where they move.

Every picture is a function of (seed, split, index), see `scenes`.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxssl.data import order, scenes
from jaxssl.data.cached_property import cached_property
from jaxssl.data.source import Records, fingerprint
from jaxssl.data.targets import Computed, Kind, Targets
from jaxssl.errors import UserError, unknown

COUNTS = {'train': 2048, 'test': 256}
# A change of the pictures is a new number: results name it.
_VERSION = 1


class Shapes:
  """Pictures of one to four shapes, each a disc, square, triangle, ring, cross.

  Pictures of the splits have other keys, so none is in both.

  Args:
    split: `'train'` or `'test'`.
    size: side of the pictures in pixels, at least 16.
    count: number of pictures; default 2048 for training and 256 for test.
    seed: seed of everything.

  Raises:
    UserError: for an unknown split, or numbers that are too small.
  """

  content: Literal['pixels'] = 'pixels'
  captions = None
  class_names = scenes.CLASSES[1:]

  def __init__(
    self,
    *,
    split: str = 'train',
    size: int = 64,
    count: int | None = None,
    seed: int = 0,
  ):
    if split not in COUNTS:
      raise unknown('split of shapes', split, COUNTS)
    if size < 16 or (count is not None and count < 1):
      raise UserError(
        f'shapes: size is {size} and count {count}; they must be at least 16 '
        'and 1'
      )
    self.name = f'shapes/{split}'
    self.num_examples = COUNTS[split] if count is None else count
    self._size = size
    self._key = seed, int(split == 'test')

  @cached_property
  def fingerprint(self) -> str:
    """Hash of all that the pictures depend on; see `source.Source`."""
    values = (_VERSION, *self._key, self._size, self.num_examples)
    return fingerprint('shapes', repr(values))

  @property
  def identity(self) -> str:
    """The same hash; see `source.Source`."""
    return self.fingerprint

  @property
  def targets(self) -> Mapping[Kind, Targets]:
    """Classes and depth of pixels; see `targets.DenseSource`."""
    return {
      'mask': Computed(lambda i: self.render(i).mask, scenes.CLASSES),
      'depth': Computed(lambda i: self.render(i).depth),
    }

  def scene(self, index: int) -> scenes.Scene:
    """Returns what a picture shows."""
    return scenes.drawn(self._size, (*self._key, index))

  def render(self, index: int) -> scenes.Rendered:
    """Returns a picture with its mask and depth."""
    return scenes.render(self.scene(index), 0)

  def moved(self, index: int) -> scenes.Moved:
    """Returns a picture, the same things elsewhere, and what lies where."""
    return scenes.moved(self.scene(index))

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; the label is that of the nearest shape."""
    drawn = [self.scene(i) for i in indices.tolist()]
    nearest = [scene.shapes[-1].label - 1 for scene in drawn]
    return Records(
      content=np.stack([scenes.render(scene, 0).image for scene in drawn]),
      label=np.array(nearest, np.int32),
    )

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return f'{self.name}[{index}]'
