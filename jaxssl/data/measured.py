"""What a look at some pictures says of their channels."""

import dataclasses
from typing import Any

import numpy as np

from jaxssl.augment.bands import Bands, ValueRange
from jaxssl.augment.preprocessing import Channels
from jaxssl.data import raster
from jaxssl.data.decode import UnreadableError
from jaxssl.data.places import read_file
from jaxssl.data.source import Source
from jaxssl.errors import UserError

# So many headers tell how many channels there are, and so many pictures their
# mean and deviation.
_HEADERS, _PICTURES = 32, 256
# From the lowest to the highest value.
PERCENTILES = (0, 1, 50, 99, 100)
# Of the pixels of a picture, so many are looked at.
_PIXELS = 1 << 14
_DIGITS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
  """Channels of some pictures.

  Attributes:
    bands: how the pictures are read.
    mean: of each channel, in units of the range of values.
    std: deviation of each channel, in the same units; 1 where it is 0.
    count: number of pictures that were looked at.
  """

  bands: Bands
  mean: Channels
  std: Channels
  count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
  """Stored values of some pictures.

  Attributes:
    dtype: type of the values in the files.
    percentiles: `PERCENTILES` of each channel, float [C, 5].
    count: number of pictures that were looked at.
  """

  dtype: str
  percentiles: np.ndarray
  count: int


def recognise(source: Source) -> int | None:
  """Returns how many channels pictures have that 8-bit RGB would not hold.

  Args:
    source: 32 headers, evenly spread, are looked at.

  Returns:
    None for a source of pixels, and unless all that can be read have one number
    of channels, and none of them is 8-bit gray, RGB or CMYK.
  """
  if source.content == 'pixels':
    return None
  found = [raster.look(content) for content in sample(source, _HEADERS)]
  layouts = [layout for layout in found if layout is not None]
  if not layouts or any(layout.is_ordinary for layout in layouts):
    return None
  counts = {layout.channels for layout in layouts}
  return counts.pop() if len(counts) == 1 else None


def measure(
  source: Source, channels: int, value_range: ValueRange | None
) -> Measured:
  """Measures mean and deviation of each channel.

  All pictures count alike, and of a large one about 16,000 pixels on a regular
  grid. Six digits are kept, so that the numbers can stand in a config.

  Args:
    source: 256 of its pictures, evenly spread, are decoded.
    channels: of every picture.
    value_range: stored values that become 0 and 1; see `bands.Bands`.

  Raises:
    UserError: if none of them can be read as such; says why.
  """
  bands = Bands(channels=channels, value_range=value_range)
  moments, faults = [], []
  for content in sample(source, _PICTURES):
    try:
      pixels = thinned(raster.exact(content, bands))
    except UnreadableError as error:
      faults.append(str(error))
      continue
    x = pixels.astype(np.float64) / 65535
    moments.append(np.stack([x.mean(0), np.square(x).mean(0)]))
  if not moments:
    raise UserError(
      f'{source.name}: none of {len(faults)} pictures can be read with '
      f'{channels} channels: {faults[0]}'
    )
  mean, square = np.mean(moments, axis=0)
  std = np.sqrt(np.maximum(square - mean**2, 0.0))
  return Measured(
    bands=bands,
    mean=_rounded(mean),
    std=_rounded(np.where(std > 0, std, 1.0)),
    count=len(moments),
  )


def spread(source: Source, channels: int) -> Spread:
  """Returns how the stored values of each channel are spread.

  Args:
    source: 256 of its pictures are decoded, and thinned as by `measure`.
    channels: of every picture; others are passed over.

  Raises:
    UserError: if none of them can be read as such; says why.
  """
  found, faults = [], []
  for content in sample(source, _PICTURES):
    try:
      found.append(thinned(raster.as_stored(content, channels=channels)))
    except UnreadableError as error:
      faults.append(str(error))
  if not found:
    raise UserError(f'{source.name}: no picture can be read: {faults[0]}')
  values = np.concatenate(found)
  return Spread(
    dtype=', '.join(sorted({str(each.dtype) for each in found})),
    percentiles=np.nanpercentile(values, PERCENTILES, axis=0).T,
    count=len(found),
  )


def sample(source: Source, most: int) -> list[bytes]:
  """Returns the bytes of some encoded pictures, evenly spread."""
  count = min(most, source.num_examples)
  indices = np.arange(count) * source.num_examples // count
  content: list[Any] = source.fetch(indices).content.tolist()
  if source.content == 'paths':
    return [read_file(path) for path in content]
  return content


def thinned(pixels: np.ndarray) -> np.ndarray:
  """Returns pixels [H, W, C] on a regular grid, as rows [n, C]."""
  step = max(1, round((pixels[..., 0].size / _PIXELS) ** 0.5))
  return pixels[::step, ::step].reshape(-1, pixels.shape[2])


def _rounded(values: np.ndarray) -> Channels:
  return tuple(float(f'{value:.{_DIGITS}g}') for value in values)
