"""How a whole picture becomes what an encoder is shown, in plain numbers.

Evaluation resizes a picture, cuts out its centre and normalises it. Weights
belong to the rule that they were trained and published with: the same weights
see other pixels, and give other numbers, under another rule. The input
pipeline on the host reads the rule, exports carry it; this file imports
neither JAX nor TensorFlow so that both can.
"""

import dataclasses
import math
from typing import Any, Literal

from jaxssl import errors
from jaxssl.augment.bands import Bands, ValueRange, make_bands, num_channels
from jaxssl.fields import check_fields

Resize = Literal['shortest', 'squash']
# Pillow's filters.
Interpolation = Literal[
  'nearest', 'bilinear', 'bicubic', 'lanczos', 'box', 'hamming'
]
Offset = Literal['round', 'floor']
# A number for each channel.
Channels = tuple[float, ...]

# Pictures up to this side are made to fill their frame.
_SMALL = 64
_CROP_FRACTION = 0.875


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
  """A rule that makes the input of an encoder from a whole picture.

  The picture is resized by Pillow, its centre is cut out, and each channel c
  of the pixels x in [0, 1] becomes (x_c - mean_c) / std_c.

  Attributes:
    image_size: S, side of the square that is cut out, in pixels; at least 1.
    resize_size: R, the side that the picture is resized to before; at least S.
    resize: `'shortest'`: the shorter side becomes R and the longer one follows,
      rounded down, as torchvision's `Resize(R)`. `'squash'`: both sides become
      R, whatever the shape of the picture.
    interpolation: Pillow's filter.
    offset: what becomes of half a pixel where the cut cannot lie in the middle:
      `'round'` to the even number (torchvision, open_clip, timm), or `'floor'`
      (transformers).
    mean: mean of each channel, of pixels in [0, 1].
    std: standard deviation of each channel; positive.
    channels: None: pictures are made 8-bit RGB. A number: their channels are
      kept as stored, and must be so many; see `bands.Bands`.
    value_range: with `channels`: stored values that become 0 and 1.

  Raises:
    jaxssl.errors.UserError: if a field is out of its range.
  """

  image_size: int
  resize_size: int
  resize: Resize = 'shortest'
  interpolation: Interpolation = 'bicubic'
  offset: Offset = 'round'
  mean: Channels = (0.0, 0.0, 0.0)
  std: Channels = (1.0, 1.0, 1.0)
  channels: int | None = None
  value_range: ValueRange | None = None

  def __post_init__(self) -> None:
    _check_sides(self.image_size, self.resize_size)
    check_fields(self)
    for name in ('mean', 'std'):
      _check_channels(name, getattr(self, name), self.num_channels)
    if min(self.std) <= 0:
      raise errors.UserError(f'std is {self.std}; it must be positive')

  @property
  def bands(self) -> Bands | None:
    """How pictures are read; None: as 8-bit RGB."""
    return make_bands(self.channels, self.value_range)

  @property
  def num_channels(self) -> int:
    """Channels of what the encoder is shown."""
    return num_channels(self.bands)

  @property
  def crop_fraction(self) -> float:
    """S / R, the share of the resized side that is kept."""
    return self.image_size / self.resize_size

  def of_size(self, image_size: int) -> 'Preprocessing':
    """Returns the same rule for pictures of another side.

    Args:
      image_size: S' of the new rule; its R' is round(S' R / S).
    """
    resize_size = round(image_size * self.resize_size / self.image_size)
    return dataclasses.replace(
      self, image_size=image_size, resize_size=resize_size
    )

  def cut_to(self, crop_fraction: float) -> 'Preprocessing':
    """Returns the rule that keeps another share of the resized picture.

    Args:
      crop_fraction: S / R' of the new rule, in (0, 1]; R' is rounded.

    Raises:
      jaxssl.errors.UserError: if the share is out of its range.
    """
    return dataclasses.replace(
      self, resize_size=resized(self.image_size, crop_fraction)
    )

  def resized(self, height: int, width: int) -> tuple[int, int]:
    """Returns height and width of a picture after resizing."""
    if self.resize == 'squash':
      return self.resize_size, self.resize_size
    shorter = min(height, width)
    return (
      # Whole numbers, so that no float decides about a pixel.
      height * self.resize_size // shorter,
      width * self.resize_size // shorter,
    )

  def corner(self, side: int) -> int:
    """Returns where the cut begins on a side of a resized picture."""
    margin = side - self.image_size
    # Python rounds halves to the even number.
    return margin // 2 if self.offset == 'floor' else round(margin / 2)


def usual(
  image_size: int, *, crop_fraction: float | None = None, **fields: Any
) -> Preprocessing:
  """Returns the usual rule of image classification.

  The shorter side becomes S / 0.875 (256 for 224) by the bicubic filter and the
  centre is cut out; of pictures of at most 64 pixels nothing is cut off.

  Args:
    image_size: S, in pixels.
    crop_fraction: another share than 0.875 or 1; in (0, 1].
    **fields: other fields of `Preprocessing` that differ from its defaults;
      with `channels`, mean and deviation are 0 and 1 of each.

  Raises:
    jaxssl.errors.UserError: if a value is out of its range.
  """
  if crop_fraction is None:
    crop_fraction = 1.0 if image_size <= _SMALL else _CROP_FRACTION
  if count := fields.get('channels'):
    fields = {'mean': (0.0,) * count, 'std': (1.0,) * count, **fields}
  return Preprocessing(
    image_size=image_size,
    resize_size=resized(image_size, crop_fraction),
    **fields,
  )


def resized(image_size: int, crop_fraction: float) -> int:
  """Returns R = round(S / crop_fraction).

  Raises:
    jaxssl.errors.UserError: if the share is not in (0, 1].
  """
  if not 0.0 < crop_fraction <= 1.0:
    raise errors.UserError(
      f'crop_fraction is {crop_fraction}; it must be above 0 and at most 1'
    )
  return round(image_size / crop_fraction)


def _check_sides(image_size: Any, resize_size: Any) -> None:
  for name, value in (
    ('image_size', image_size),
    ('resize_size', resize_size),
  ):
    # Not `isinstance`, to which True is a number of pixels.
    if type(value) is not int or value < 1:
      raise errors.UserError(f'{name} is {value!r}; give pixels, at least 1')
  if resize_size < image_size:
    raise errors.UserError(
      f'a square of {image_size} pixels cannot be cut out of pictures that '
      f'were resized to {resize_size}'
    )


def _check_channels(name: str, values: Any, count: int) -> None:
  fits = isinstance(values, tuple) and len(values) == count
  if not fits or not all(_is_finite(value) for value in values):
    raise errors.UserError(
      f'{name} is {values!r}; give a number per channel, of {count}'
    )


def _is_finite(value: Any) -> bool:
  return type(value) in (int, float) and math.isfinite(value)
