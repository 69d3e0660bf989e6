"""Encoded pictures to uint8 RGB.

Two ways to the same pixels. Plain JPEG and PNG files, the bulk of every data
set, are decoded by TensorFlow without Python. All the rest (EXIF rotation,
CMYK, 16 bits, palettes, WebP, GIF, BMP) goes through Pillow. The header of each
record decides, and both ways look at the size before they decode.
"""

import io
from typing import Any

import numpy as np

from jaxssl.data.optional import require, tensorflow
from jaxssl.errors import UserError

MAX_PIXELS = 50_000_000
# Pillow knows many more formats, some of them with a history of exploits.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'DIB', 'PPM')

_JFIF = b'\xff\xd8\xff\xe0\x00\x10JFIF\x00'
_HEADER_BYTES = 1 << 16


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
  pil = _pillow()
  ops = require('PIL.ImageOps', extra='data')
  try:
    with pil.open(io.BytesIO(content), formats=FORMATS) as image:
      _check_size(image.size, max_pixels)
      return np.array(_to_rgb(ops.exif_transpose(image)))
  except UnreadableError:
    raise
  # Pillow's plugins raise whatever their parsers stumble over: OSError,
  # SyntaxError, struct.error, IndexError, ...
  except Exception as error:
    raise UnreadableError(f'{type(error).__name__}: {error}') from error


def _pillow() -> Any:
  pil = require('PIL.Image', extra='data')
  # Loads the plugins of all formats; does nothing the second time.
  pil.init()
  return pil


def _check_size(size: tuple[int, int], max_pixels: int):
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
    there is neither an EXIF rotation nor an Adobe colour transform before it.
  """
  place = 2
  while place + 10 <= len(header) and header[place] == 0xFF:
    marker = header[place + 1]
    size = int.from_bytes(header[place + 2 : place + 4], 'big')
    body = header[place + 4 : place + 2 + size]
    if marker in (0xC0, 0xC1, 0xC2):
      return body[0] == 8 and body[5] in (1, 3)
    if marker == 0xEE and body.startswith(b'Adobe'):
      return False
    if marker == 0xE1 and body.startswith(b'Exif') and _is_rotated(body[6:]):
      return False
    place += 2 + size
  return False


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

  A JFIF header followed by a quantization table is decided without Python; it
  is what libjpeg and most cameras' converters write. (The JFIF standard admits
  only gray and YCbCr, and EXIF would stand in between.)

  Args:
    content: string tensor, the encoded picture.
  """
  tf = tensorflow()
  head = tf.strings.substr(content, 0, 22)
  jfif = tf.strings.substr(head, 0, 11) == _JFIF
  table = tf.strings.substr(head, 20, 2) == b'\xff\xdb'

  def walk():
    return tf.numpy_function(
      lambda text: np.bool_(is_plain_jpeg(text)),
      [tf.strings.substr(content, 0, _HEADER_BYTES)],
      tf.bool,
      stateful=False,
    )

  is_jpeg = tf.strings.substr(head, 0, 3) == b'\xff\xd8\xff'
  return tf.case(
    [(jfif & table, lambda: tf.constant(True)), (is_jpeg, walk)],
    default=lambda: tf.constant(False),
  )


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

  def by_tensorflow():
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


def is_readable(content: bytes) -> bool:
  """Tells whether the header is that of a picture in one of `FORMATS`."""
  pil = _pillow()
  try:
    with pil.open(io.BytesIO(content), formats=FORMATS):
      return True
  except UserError:
    raise
  except Exception:
    return False
