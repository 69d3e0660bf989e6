"""Pictures with the channels and the depth that their files have.

Satellites and microscopes store more channels than three, or more bits than
eight. TIFF is read by tifffile, 16-bit PNG with colours by TensorFlow, and all
else by Pillow, of which neither reads such TIFF. Nothing is made RGB here, and
no bits are lost up to 16.
"""

import dataclasses
import io
import logging
import struct
from typing import Any

import numpy as np

from jaxssl.augment.bands import Bands
from jaxssl.data import decode, formats
from jaxssl.data.decode import MAX_PIXELS, UnreadableError, check_size
from jaxssl.data.optional import require, tensorflow

_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_GRAY, _PNG_ALPHA = 0, (4, 6)
# Modes of Pillow that hold the values of the file.
_AS_STORED = ('L', 'LA', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I;16L', 'I;16B', 'F')
# ExtraSamples of TIFF 6.0 that say how much of the others is seen.
_ALPHA = (1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
  """What the header of a picture says.

  Attributes:
    format: as `decode.FORMATS` calls it.
    height: H in pixels, before any rotation by EXIF.
    width: W in pixels.
    channels: C.
    dtype: type of the values as stored.
    is_ordinary: whether it is 8-bit gray, RGB or CMYK, with or without
      transparency, so that 8-bit RGB loses nothing of it.
  """

  format: str
  height: int
  width: int
  channels: int
  dtype: np.dtype[Any]
  is_ordinary: bool


def exact(
  content: bytes, bands: Bands, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Decodes a picture to its channels, in 16 bits.

  Args:
    content: an encoded picture.
    bands: how many channels it must have, and what its values mean.
    max_pixels: largest number of pixels to decode.

  Returns:
    uint16 [H, W, C]; 65535 stands for 1.

  Raises:
    UnreadableError: for anything that cannot be decoded completely, has other
      channels, or values whose range nothing says.
  """
  values = as_stored(content, max_pixels=max_pixels, channels=bands.channels)
  return _scaled(values, bands)


def as_stored(
  content: bytes,
  *,
  max_pixels: int = MAX_PIXELS,
  channels: int | None = None,
) -> np.ndarray:
  """Decodes a picture to the values of its file.

  TIFF: the first picture of the file, which has height, width and at most one
  more axis, whatever that is called: samples of a pixel, planes, or pages.
  Tags of orientation and colour are not looked at.

  Args:
    content: an encoded picture.
    max_pixels: largest number of pixels to decode.
    channels: how many it must have; None: any.

  Returns:
    [H, W, C] of the type of the file.

  Raises:
    UnreadableError: for anything that cannot be decoded completely, or has
      other channels.
  """
  if content.startswith(formats.TIFF):
    return _tiff(content, max_pixels, channels)
  with decode.opened(content, max_pixels=max_pixels) as image:
    if _is_deep_png(content):
      values = tensorflow().io.decode_png(content, dtype='uint16').numpy()
    elif image.mode == 'I' and image.format == 'PNG':
      values = np.asarray(image).astype(np.uint16)  # of Pillow before 11.3
    elif image.mode in _AS_STORED:
      values = np.asarray(image)
    else:  # a palette, black and white, or another space of colours
      values = np.asarray(image.convert('L' if image.mode == '1' else 'RGB'))
  values = values if values.ndim == 3 else values[..., None]
  _check_channels(values.shape[2], channels)
  return values


def _tiff(content: bytes, max_pixels: int, channels: int | None) -> np.ndarray:
  tifffile = _tifffile()
  try:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
      series = file.series[0]
      shape = _shape(series)
      check_size(shape[:2], max_pixels)
      _check_channels(shape[2], channels)
      return _channels_last(series.asarray(), series.axes)
  except UnreadableError:
    raise
  except ImportError as error:
    raise UnreadableError(_without_codec(str(error))) from error
  # Its parsers and decoders raise whatever they stumble over.
  except Exception as error:
    if 'imagecodecs' in str(error):
      raise UnreadableError(_without_codec(str(error))) from error
    raise UnreadableError(f'{type(error).__name__}: {error}') from error


def _tifffile() -> Any:
  # It also warns of tags, in lines that name no file; what cannot be read
  # raises all the same.
  logging.getLogger('tifffile').setLevel(logging.CRITICAL)
  return require('tifffile', extra='formats')


def _without_codec(text: str) -> str:
  return f'{text} (pip install "jaxssl[formats]")'


def _shape(series: Any) -> tuple[int, int, int]:
  """Returns height, width and channels of a series of pages."""
  sizes = dict(zip(series.axes, series.shape, strict=True))
  others = [n for axis, n in sizes.items() if axis not in 'YX' and n > 1]
  if not {'Y', 'X'} <= sizes.keys() or len(others) > 1:
    raise UnreadableError(
      f'its axes are {series.axes} of {tuple(series.shape)}; a picture has Y, '
      'X and one axis of channels'
    )
  return sizes['Y'], sizes['X'], others[0] if others else 1


def _channels_last(values: np.ndarray, axes: str) -> np.ndarray:
  """Returns values [H, W, C] from an array whose axes are named."""
  others = [i for i, axis in enumerate(axes) if axis not in 'YX']
  order = [axes.index('Y'), axes.index('X'), *others]
  values = values.transpose(order)
  return np.ascontiguousarray(values.reshape(*values.shape[:2], -1))


def _check_channels(count: int, wanted: int | None) -> None:
  if wanted is not None and count != wanted:
    raise UnreadableError(f'it has {count} channels, not {wanted}')


def _scaled(values: np.ndarray, bands: Bands) -> np.ndarray:
  """Returns values as shares of 65535, see `Bands`."""
  if bands.value_range is None:
    if values.dtype == np.uint16:
      return values
    if values.dtype == np.uint8:
      return values.astype(np.uint16) * np.uint16(257)
    raise UnreadableError(
      f'its values are {values.dtype}, whose range it does not say; give '
      'config.input.value_range'
    )
  low, high = bands.value_range
  # Where nothing was measured (not a number), nothing is seen.
  found = np.nan_to_num(
    values.astype(np.float64), nan=low, posinf=high, neginf=low
  )
  shares = np.clip((found - low) / (high - low), 0.0, 1.0)
  return np.round(shares * 65535).astype(np.uint16)


def look(content: bytes) -> Layout | None:
  """Returns what the header of a picture says; None if it is none.

  Args:
    content: the encoded picture.
  """
  if content.startswith(formats.TIFF):
    return _look_at_tiff(content)
  found = decode.header(content)
  if found is None:
    return None
  channels, dtype, is_ordinary = 3, np.dtype(np.uint8), True
  if content.startswith(_PNG):
    depth, kind = struct.unpack('BB', content[24:26])
    channels = {0: 1, 4: 2, 6: 4}.get(kind, 3)
    dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
    is_ordinary = depth <= 8 or kind in _PNG_ALPHA
  return Layout(
    format=found[0],
    height=found[1],
    width=found[2],
    channels=channels,
    dtype=dtype,
    is_ordinary=is_ordinary,
  )


def _look_at_tiff(content: bytes) -> Layout | None:
  try:
    with _tifffile().TiffFile(io.BytesIO(content)) as file:
      series, page = file.series[0], file.pages[0]
      height, width, channels = _shape(series)
      colors = channels - sum(kind in _ALPHA for kind in page.extrasamples)
      return Layout(
        format='TIFF',
        height=height,
        width=width,
        channels=channels,
        dtype=series.dtype,
        is_ordinary=series.dtype.itemsize == 1
        and (colors in (1, 3) or page.photometric.name == 'SEPARATED'),
      )
  # Whatever its parsers stumble over; or it is not installed.
  except Exception:
    return None


def header(content: bytes) -> tuple[str, int, int] | None:
  """Returns what `decode.header` does, also of TIFF that Pillow cannot read."""
  found = decode.header(content)
  if found is None and content.startswith(formats.TIFF):
    layout = _look_at_tiff(content)
    return layout and (layout.format, layout.height, layout.width)
  return found


def _is_deep_png(content: bytes) -> bool:
  """Whether it is a PNG of 16 bits with more than gray, which Pillow halves."""
  is_deep = content.startswith(_PNG) and content[24:25] == b'\x10'
  return is_deep and content[25] != _PNG_GRAY
