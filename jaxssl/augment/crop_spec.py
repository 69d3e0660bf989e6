"""What a random crop is, in plain numbers.

The input pipeline on the host and the augmentation on the accelerator both
crop by a `CropSpec`; this file imports neither JAX nor TensorFlow so that both
can read it.
"""

import dataclasses
from typing import Literal

from jaxssl import errors

RULES = ('torchvision', 'tf')
INTERPOLATIONS = ('bilinear', 'bicubic')


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSpec:
  """A random crop, resized to a square.

  Attributes:
    size: side of the output in pixels.
    scale: smallest and largest area of the box, as a share of the image area;
      0 < low <= high <= 1.
    ratio: smallest and largest width / height of the box.
    rule: how a box is drawn. `'torchvision'`: `RandomResizedCrop` (area
      uniform, log of the ratio uniform, 10 attempts, then a central crop).
      `'tf'`: `tf.image.sample_distorted_bounding_box` with the arguments of
      SimCLR (ratio uniform, 100 attempts, then the whole image).
    interpolation: filter that resizes the box.

  Raises:
    jaxssl.errors.UserError: a field is out of its range.
  """

  size: int
  scale: tuple[float, float] = (0.08, 1.0)
  ratio: tuple[float, float] = (3 / 4, 4 / 3)
  rule: Literal['torchvision', 'tf'] = 'torchvision'
  interpolation: Literal['bilinear', 'bicubic'] = 'bilinear'

  def __post_init__(self):
    if self.size < 1:
      raise errors.UserError(f'crop size must be at least 1, not {self.size}')
    if not 0 < self.scale[0] <= self.scale[1] <= 1:
      raise errors.UserError(
        f'crop scale must be 0 < low <= high <= 1, not {self.scale}'
      )
    if not 0 < self.ratio[0] <= self.ratio[1]:
      raise errors.UserError(
        f'crop ratio must be 0 < low <= high, not {self.ratio}'
      )
    if self.rule not in RULES:
      raise errors.unknown('crop rule', self.rule, RULES)
    if self.interpolation not in INTERPOLATIONS:
      raise errors.unknown('interpolation', self.interpolation, INTERPOLATIONS)
