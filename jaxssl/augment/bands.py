"""What pictures of other channels or depth than 8-bit RGB are, as numbers.

The input pipeline on the host reads pictures by `Bands`, the augmentation on
the accelerator counts their channels by it; this file imports neither JAX nor
TensorFlow so that both can.
"""

import dataclasses
import math
from typing import Any

from jaxssl import errors
from jaxssl.fields import Count, check_fields

# Of a picture that is read without bands.
RGB = 3
# Low and high.
ValueRange = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bands:
  """How pictures are read whose channels count as they are stored.

  A value x becomes min(max((x - low) / (high - low), 0), 1), in steps of
  1 / 65535, so that 16 bits are kept as they are.

  Attributes:
    channels: C, which every picture must have.
    value_range: low and high; None: 0 and the largest value of the files'
      type, which is 255 of 8 bits and 65535 of 16. Other types say no range:
      they need one.

  Raises:
    jaxssl.errors.UserError: if a field is out of its range.
  """

  channels: Count
  value_range: ValueRange | None = None

  def __post_init__(self) -> None:
    check_fields(self)
    if self.value_range is None:
      return
    low, high = self.value_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
      raise errors.UserError(
        f'value_range is {self.value_range}; it must be two numbers, the lower '
        'one first'
      )


def make_bands(
  channels: int | None, value_range: ValueRange | None
) -> Bands | None:
  """Returns what two keys of a section say; None for 8-bit RGB.

  Raises:
    jaxssl.errors.UserError: if a value is out of its range, or there is a range
      without a number of channels.
  """
  if channels is not None:
    return Bands(channels=channels, value_range=value_range)
  if value_range is not None:
    raise errors.UserError(
      f'value_range is {value_range}, but pictures are read as 8-bit RGB; give '
      'channels as well'
    )
  return None


def num_channels(bands: Bands | None) -> int:
  """Returns the number of channels of pictures."""
  return RGB if bands is None else bands.channels


def fields_of(bands: Bands | None) -> dict[str, Any]:
  """Returns the fields `channels` and `value_range` of a `Preprocessing`."""
  return {} if bands is None else dataclasses.asdict(bands)


def require_channels(method: str, wanted: int, found: int) -> None:
  """Raises `UserError` for images that a method was not made for."""
  if found != wanted:
    raise errors.UserError(
      f'method {method!r} is made for images of {wanted} channels, and these '
      f'have {found}; give channels={found}'
    )
