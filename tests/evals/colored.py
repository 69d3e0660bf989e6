"""Pictures whose colour says their class, and an encoder that sees it."""

import numpy as np

from jaxssl.data.arrays import Arrays
from jaxssl.data.dense import Kind, Pictures
from jaxssl.data.targets import Computed
from jaxssl.evals import patch_features
from jaxssl.evals.patch_features import PatchEncoder

STRIDE = 4
COLORS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250]], np.uint8)
NAMES = ('red', 'green', 'blue')


class Colored:
  """Pictures of 16 x 24 pixels in squares of 4, each of a class."""

  def __init__(self, count: int, *, seed: int = 0, names=NAMES):
    random = np.random.default_rng(seed)
    self._fill(random.integers(0, 3, (count, 4, 6)), names)

  def _fill(self, classes, names):
    classes = classes.astype(np.int32)
    self.masks = classes.repeat(STRIDE, axis=1).repeat(STRIDE, axis=2)
    self._source = Arrays(COLORS[self.masks])
    # Of the first row of pixels nothing is known.
    self.masks[:, 0] = -1
    depth = np.where(self.masks < 0, np.nan, 1.0 + self.masks)
    self.targets = {
      'mask': Computed(lambda i: self.masks[i], names),
      'depth': Computed(lambda i: depth[i].astype(np.float32)),
    }

  def __getattr__(self, name):
    return getattr(self._source, name)


def pictures(count: int, kind: Kind | None = 'mask', **options) -> Pictures:
  return Pictures(source=Colored(count, **options), kind=kind)


def encoder() -> PatchEncoder:
  """The colours of patches, in windows of a whole picture's height."""
  raw = patch_features.raw_colors(STRIDE)
  return PatchEncoder(encode=raw, size=16, stride=STRIDE)
