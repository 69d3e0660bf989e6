"""Encoded pictures to uint8 RGB.

Two ways to the same pixels. Plain JPEG and PNG files, the bulk of every data
set, are decoded by TensorFlow without Python. All the rest (EXIF rotation,
CMYK, 16 bits, palettes, WebP, GIF, BMP, TIFF, AVIF, HEIC, JPEG XL) goes through
Pillow. The header of each record decides, and both ways look at the size before
they decode.
"""

from collections.abc import Generator
import contextlib
import functools
import io
from typing import Any

import numpy as np

from jaxssl.data import formats
from jaxssl.data.optional import require, tensorflow
from jaxssl.errors import UserError

MAX_PIXELS = 50_000_000
# Pillow knows many more formats, some of them with a history of exploits.
FORMATS = (
  'JPEG',
  'PNG',
  'WEBP',
  'GIF',
  'BMP',
  'DIB',
  'PPM',
  'TIFF',
  'AVIF',
  'HEIF',
  'JXL',
)

_JFIF = b'\xff\xd8\xff\xe0\x00\x10JFIF\x00'
_HEADER_BYTES = 1 << 16
# Start of frame: baseline, extended, progressive. Others are not read by all.
_FRAMES = (0xC0, 0xC1, 0xC2)
_SCAN = 0xDA


class UnreadableError(ValueError):
  """A record is no picture, is broken, or has too many pixels."""


def exact(content: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Decodes a picture by Pillow.

  EXIF rotation is applied, CMYK converted, 16-bit gray reduced to its upper
  byte, the first frame of an animation taken. Transparency is dropped: the
  colours below it show.

  Args:
    content: an encoded picture in one of `FORMATS`.
    max_pixels: largest number of pixels to decode.

  Returns:
    uint8 [H, W, 3].

  Raises:
    UnreadableError: for anything that cannot be decoded completely.
  """
  with opened(content, max_pixels=max_pixels) as image:
    return np.array(_to_rgb(image))


@contextlib.contextmanager
def opened(content: bytes, *, max_pixels: int) -> Generator[Any]:
  """Opens a picture by Pillow, rotated as its EXIF says.

  Whatever goes wrong, there or by whom it is used, is an `UnreadableError`.

  Args:
    content: an encoded picture in one of `FORMATS`.
    max_pixels: largest number of pixels to decode.

  Yields:
    An image of Pillow, in the mode of the file.
  """
  pil = _pillow()
  ops = require('PIL.ImageOps', extra='data')
  if not content:
    raise UnreadableError('it is empty, or no regular file')
  try:
    with pil.open(io.BytesIO(content), formats=_readable()) as image:
      check_size(image.size, max_pixels)
      yield ops.exif_transpose(image)
  except UnreadableError:
    raise
  except pil.UnidentifiedImageError as error:
    fault = formats.advice(content)
    raise UnreadableError(
      f'it is {fault}' if fault else f'it is none of {", ".join(_readable())}'
    ) from error
  # Pillow's plugins raise whatever their parsers stumble over: OSError,
  # SyntaxError, struct.error, IndexError, ...
  except Exception as error:
    raise UnreadableError(f'{type(error).__name__}: {error}') from error


def stored(
  content: bytes,
  *,
  formats: tuple[str, ...],
  max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
  """Decodes the numbers of a picture as they are stored, without any colour.

  Args:
    content: an encoded picture.
    formats: names of formats, of those that Pillow reads.
    max_pixels: largest number of pixels to decode.

  Returns:
    [H, W], or [H, W, channels]; of a palette the places in it, not its colours;
    of an animation the first frame.

  Raises:
    UnreadableError: for anything that cannot be decoded completely.
  """
  pil = _pillow()
  try:
    with pil.open(io.BytesIO(content), formats=formats) as image:
      check_size(image.size, max_pixels)
      return np.array(image)
  except UnreadableError:
    raise
  except pil.UnidentifiedImageError as error:
    raise UnreadableError(f'it is none of {", ".join(formats)}') from error
  # As in `exact`.
  except Exception as error:
    raise UnreadableError(f'{type(error).__name__}: {error}') from error


def _pillow() -> Any:
  pil = require('PIL.Image', extra='data')
  # Loads the plugins of all formats; does nothing the second time.
  pil.init()
  return pil


def _readable() -> tuple[str, ...]:
  return tuple(name for name in FORMATS if name not in formats.missing())


def check_size(size: tuple[int, int], max_pixels: int) -> None:
  """Raises `UnreadableError` for more pixels than are decoded."""
  if size[0] * size[1] > max_pixels:
    raise UnreadableError(
      f'{size[0]} x {size[1]} pixels are more than max_pixels={max_pixels}'
    )


def _to_rgb(image: Any) -> Any:
  if image.mode.startswith('I'):
    # Pillow would clip 16 bits to 255 instead of scaling them.
    pil = require('PIL.Image', extra='data')
    upper = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    image = pil.fromarray(upper)
  if image.mode.startswith('F'):
    raise UnreadableError(
      'its values are fractions, whose range it does not say'
    )
  if image.mode == 'P':
    # The direct way warns about palettes with transparency.
    image = image.convert('RGBA')
  return image.convert('RGB')


def is_plain_jpeg(header: bytes) -> bool:
  """Tells whether TensorFlow decodes a JPEG to the pixels that `exact` gives.

  Args:
    header: the first bytes of the file, up to 64 KiB.

  Returns:
    True if the frame header was found, has 1 or 3 components of 8 bits, and
    no EXIF rotation, no Adobe colour transform and no damage stands before the
    pixels.
  """
  place, plain = 2, False
  while place + 4 <= len(header) and header[place] == 0xFF:
    marker = header[place + 1]
    if marker == _SCAN:
      return plain
    size = int.from_bytes(header[place + 2 : place + 4], 'big')
    body = header[place + 4 : place + 2 + size]
    if marker in _FRAMES:
      plain = len(body) > 5 and body[0] == 8 and body[5] in (1, 3)
    if marker == 0xEE and body.startswith(b'Adobe'):
      return False
    if marker == 0xE1 and body.startswith(b'Exif') and _is_rotated(body[6:]):
      return False
    place += 2 + size
  # The pixels begin beyond what was given.
  return plain


def _is_rotated(tiff: bytes) -> bool:
  order = 'little' if tiff.startswith(b'II') else 'big'
  start = int.from_bytes(tiff[4:8], order)
  count = int.from_bytes(tiff[start : start + 2], order)
  for number in range(count):
    entry = tiff[start + 2 + 12 * number : start + 14 + 12 * number]
    if int.from_bytes(entry[:2], order) == 0x0112:
      return int.from_bytes(entry[8:10], order) != 1
  return False


def plain_jpeg(content: Any) -> Any:
  """Returns a bool tensor: `is_plain_jpeg` in a TensorFlow graph.

  The headers that libjpeg writes are recognized without Python; all others are
  walked through.

  Args:
    content: string tensor, the encoded picture.
  """
  tf = tensorflow()
  known, counts = _known_headers()
  header = tf.io.decode_raw(content, tf.uint8, fixed_length=known.shape[1])
  is_known = tf.reduce_any(tf.reduce_all((header == known) | ~counts, axis=1))

  def walk() -> Any:
    return tf.numpy_function(
      lambda text: np.bool_(is_plain_jpeg(text)),
      [tf.strings.substr(content, 0, _HEADER_BYTES)],
      tf.bool,
      stateful=False,
    )

  is_jpeg = tf.reduce_all(header[:3] == np.frombuffer(_JFIF[:3], np.uint8))
  return tf.case(
    [(is_known, lambda: tf.constant(True)), (is_jpeg, walk)],
    default=lambda: tf.constant(False),
  )


@functools.cache
def _known_headers() -> tuple[np.ndarray, np.ndarray]:
  """Returns the headers that libjpeg writes, and which bytes count, [k, n].

  JFIF, the quantization tables in one segment or two, the frame, and nothing
  else before the Huffman tables: no room for EXIF or another colour space.
  (The JFIF standard admits only gray and YCbCr, but CMYK files say JFIF too.)
  """
  headers = []
  for frame in _FRAMES:
    for tables, components in (((65,), 1), ((65, 65), 3), ((130,), 3)):
      header = [*_JFIF, *[None] * 9]
      for size in tables:
        header += [0xFF, 0xDB, 0, size + 2, *[None] * size]
      header += [0xFF, frame, 0, 8 + 3 * components, 8, *[None] * 4, components]
      header += [*[None] * 3 * components, 0xFF, 0xC4]
      headers.append(header)
  most = max(map(len, headers))
  padded = [[*header, *[None] * (most - len(header))] for header in headers]
  known = np.array([[byte or 0 for byte in h] for h in padded], np.uint8)
  return known, np.array([[byte is not None for byte in h] for h in padded])


def jpeg_size(content: Any, *, max_pixels: int) -> Any:
  """Returns int32 [2], height and width of a JPEG, after checking them."""
  tf = tensorflow()
  size = tf.io.extract_jpeg_shape(content)[:2]
  return _checked(size, max_pixels)


def _checked(size: Any, max_pixels: int) -> Any:
  tf = tensorflow()
  pixels = tf.reduce_prod(tf.cast(size, tf.int64))
  text = f'the picture has more pixels than max_pixels={max_pixels}'
  with tf.control_dependencies(
    [tf.debugging.assert_less_equal(pixels, np.int64(max_pixels), text)]
  ):
    return tf.identity(size)


def jpeg(content: Any, window: Any | None = None) -> Any:
  """Decodes a plain JPEG, or a window of it, to uint8 [H, W, 3].

  Args:
    content: string tensor.
    window: int32 [4]: top, left, height, width; None for the whole picture.

  Returns:
    uint8 tensor. The accurate inverse transform makes the whole picture equal
    to Pillow's bit for bit; it costs no time.
  """
  tf = tensorflow()
  options = dict(channels=3, dct_method='INTEGER_ACCURATE')
  if window is None:
    return tf.io.decode_jpeg(content, **options)
  return tf.io.decode_and_crop_jpeg(content, window, **options)


def anything(content: Any, *, max_pixels: int) -> Any:
  """Decodes any picture but a plain JPEG, in a TensorFlow graph.

  Args:
    content: string tensor.
    max_pixels: largest number of pixels to decode.

  Returns:
    uint8 tensor [H, W, 3].
  """
  tf = tensorflow()

  def by_tensorflow() -> Any:
    big_endian = tf.io.decode_raw(
      tf.strings.substr(content, 16, 8), tf.int32, little_endian=False
    )
    size = _checked(big_endian, max_pixels)
    with tf.control_dependencies([size]):
      return tf.io.decode_png(content, channels=3)

  return tf.cond(
    _plain_png(content),
    by_tensorflow,
    lambda: by_pillow(content, max_pixels=max_pixels),
  )


def by_pillow(content: Any, *, max_pixels: int) -> Any:
  """Decodes any picture by `exact`, in a TensorFlow graph."""
  tf = tensorflow()
  image = tf.numpy_function(
    lambda text: exact(text, max_pixels=max_pixels),
    [content],
    tf.uint8,
    stateful=False,
  )
  return tf.ensure_shape(image, [None, None, 3])


def _plain_png(content: Any) -> Any:
  """8-bit gray or RGB with or without alpha, pixels right after the header."""
  tf = tensorflow()
  header = tf.strings.substr(content, 0, 41)
  # Signature and length of the header chunk, then width and height, then depth.
  is_png = tf.strings.substr(header, 0, 16) == b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
  kind = tf.strings.substr(header, 24, 2)
  known = tf.reduce_any(kind == [b'\x08\x00', b'\x08\x02', b'\x08\x06'])
  return is_png & known & (tf.strings.substr(header, 37, 4) == b'IDAT')


def header(content: bytes) -> tuple[str, int, int] | None:
  """Returns what the header of a picture says; its pixels are not decoded.

  Args:
    content: the encoded picture, or its beginning.

  Returns:
    Format, height and width before any rotation by EXIF; None if it is no
    picture in one of `FORMATS`.
  """
  pil = _pillow()
  try:
    with pil.open(io.BytesIO(content), formats=_readable()) as image:
      return _format(image), image.height, image.width
  except UserError:
    raise
  # Whatever a parser stumbles over.
  except Exception:
    return None


def _format(image: Any) -> str:
  # A JPEG with a second picture behind it, as cameras store a preview.
  return 'JPEG' if image.format == 'MPO' else image.format
