"""What a random crop is, in plain numbers.

The input pipeline on the host and the augmentation on the accelerator both
crop by a `CropSpec`; this file imports neither JAX nor TensorFlow so that both
can read it.
"""

import dataclasses
from typing import Literal

from jaxssl import errors
from jaxssl.fields import Count, check_fields

Rule = Literal['torchvision', 'tf']
Interpolation = Literal['bilinear', 'bicubic']
# The library that resizes on the host.
Resizer = Literal['pillow', 'cykooz']
Scale = tuple[float, float]


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

  size: Count
  scale: Scale = (0.08, 1.0)
  ratio: tuple[float, float] = (3 / 4, 4 / 3)
  rule: Rule = 'torchvision'
  interpolation: Interpolation = 'bilinear'

  def __post_init__(self) -> None:
    check_fields(self)
    if not 0 < self.scale[0] <= self.scale[1] <= 1:
      raise errors.UserError(
        f'crop scale must be 0 < low <= high <= 1, not {self.scale}'
      )
    if not 0 < self.ratio[0] <= self.ratio[1]:
      raise errors.UserError(
        f'crop ratio must be 0 < low <= high, not {self.ratio}'
      )
