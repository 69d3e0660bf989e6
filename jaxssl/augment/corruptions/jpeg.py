"""What saving as JPEG does to an image, without a file.

All that is lossy in baseline JPEG (ITU-T T.81), in libjpeg's whole numbers:
colours at half the resolution, and rounded cosine coefficients of 8 x 8 pixels.
The entropy coder behind it loses nothing and is left out.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.augment.corruptions.resampling import resample

_BLOCK = 8
# T.81, annex K.1: steps of brightness and of colours at quality 50.
_LUMINANCE = np.array(
  [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
  ]
)
_CHROMINANCE = np.full((_BLOCK, _BLOCK), 99)
_CHROMINANCE[:4, :4] = [
  [17, 18, 24, 47],
  [18, 21, 26, 66],
  [24, 26, 56, 99],
  [47, 66, 99, 99],
]
# From RGB to Y, Cb, Cr, in 1/65536 (JFIF).
_TO_YCC = np.array(
  [
    [19595, 38470, 7471],
    [-11059, -21709, 32768],
    [32768, -27439, -5329],
  ]
)
_OFFSET = np.array([[[32768, (128 << 16) + 32767, (128 << 16) + 32767]]])


def _cosines() -> np.ndarray:
  """Returns √2 cos(π k (2n + 1) / 16) in 1/8192 (1 for k = 0), int32 [8, 8].

  What libjpeg's sums of rounded constants (jfdctint.c, jidctint.c) come to;
  rounding the cosines themselves would differ by 1 here and there.
  """
  even = np.array(
    [
      [8192, 8192, 8192, 8192],
      [10703, 4433, -4433, -10703],
      [8192, -8192, -8192, 8192],
      [4433, -10704, 10704, -4433],
    ]
  )
  odd = np.array(
    [
      [11363, 9633, 6437, 2260],
      [9633, -2259, -11362, -6436],
      [6437, -11362, 2261, 9633],
      [2260, -6436, 9633, -11363],
    ]
  )
  matrix = np.empty((_BLOCK, _BLOCK), np.int32)
  matrix[::2] = np.concatenate([even, even[:, ::-1]], axis=1)
  matrix[1::2] = np.concatenate([odd, -odd[:, ::-1]], axis=1)
  return matrix


_COSINES = _cosines()


def jpeg_compression(
  key: jax.Array, image: jax.Array, quality: float
) -> jax.Array:
  """Saves and loads an image in memory.

  Args:
    key: not used.
    image: [H, W, 3] in [0, 1].
    quality: quality from 1 to 100, as libjpeg and Pillow count.
  """
  del key
  pixels = jnp.round(255.0 * jnp.clip(image, 0.0, 1.0)).astype(jnp.int32)
  height, width, _ = image.shape
  padded = _padded(pixels)
  # Whole numbers, which no device rounds otherwise.
  ycc = (padded @ _TO_YCC.T + _OFFSET) >> 16
  y = _quantized(ycc[..., 0], _steps(_LUMINANCE, quality))
  colours = [
    _enlarged(
      _quantized(_halved(ycc[..., i]), _steps(_CHROMINANCE, quality)),
      height,
      width,
    )
    for i in (1, 2)
  ]
  rgb = _to_rgb(y[:height, :width], *colours)
  return jnp.clip(rgb, 0, 255).astype(jnp.float32) / 255.0


def _padded(pixels: jax.Array) -> jax.Array:
  """Repeats the last row and column until blocks of colours are full."""
  sizes = pixels.shape[:2]
  # Colours have half the resolution, so 16 pixels make their block.
  rows, columns = ((0, -size % (2 * _BLOCK)) for size in sizes)
  return jnp.pad(pixels, (rows, columns, (0, 0)), 'edge')


def _halved(plane: jax.Array) -> jax.Array:
  """Averages 2 x 2 pixels; halves go down and up in turns."""
  height, width = plane.shape
  sums = plane.reshape(height // 2, 2, width // 2, 2).sum((1, 3))
  return (sums + 1 + np.arange(width // 2)[None] % 2) >> 2


def _enlarged(plane: jax.Array, height: int, width: int) -> jax.Array:
  """Doubles the resolution: 3/4 of the nearer, 1/4 of the next pixel an axis.

  Only pixels that the image has count; sixteenths are rounded at 8 and 9 in
  turns.
  """
  plane = plane[: -(-height // 2), : -(-width // 2)].astype(jnp.float32)
  rows, columns = map(_doubling, plane.shape)
  # A product of floats, but of numbers below 2^24: exact when rounded.
  sixteenths = jnp.round(resample(plane[..., None], rows, columns)[..., 0])
  turns = 8 - np.arange(sixteenths.shape[1])[None] % 2
  wide = (sixteenths.astype(jnp.int32) + turns) >> 4
  return wide[:height, :width]


def _doubling(size: int) -> np.ndarray:
  """Returns the matrix [2 size, size] of weights 3 and 1."""
  matrix = np.zeros((2 * size, size), np.float32)
  for row in range(2 * size):
    near = row // 2
    other = min(max(near - 1 if row % 2 == 0 else near + 1, 0), size - 1)
    matrix[row, near] += 3
    matrix[row, other] += 1
  return matrix


def _steps(table: np.ndarray, quality: float) -> np.ndarray:
  """Returns the steps at a quality, int [1, 1, 8, 8]."""
  percent = int(5000 / quality) if quality < 50 else int(200 - 2 * quality)
  return np.clip((table * percent + 50) // 100, 1, 255)[None, None]


def _quantized(plane: jax.Array, steps: np.ndarray) -> jax.Array:
  """Rounds the cosine coefficients of all blocks to multiples of the steps."""
  height, width = plane.shape
  shape = (height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
  blocks = plane.reshape(shape).swapaxes(1, 2) - 128
  # Rows, then columns; two more binary digits between them.
  blocks = _shifted(jnp.einsum('hwij,bj->hwib', blocks, _COSINES), 11)
  eighths = _shifted(jnp.einsum('hwib,ai->hwab', blocks, _COSINES), 15)
  # Halves go away from zero.
  whole = (jnp.abs(eighths) + 4 * steps) // (8 * steps)
  kept = jnp.sign(eighths) * whole * steps
  # Columns, then rows.
  kept = _shifted(jnp.einsum('hwab,ai->hwib', kept, _COSINES), 11)
  back = _shifted(jnp.einsum('hwib,bj->hwij', kept, _COSINES), 18)
  values = jnp.clip(back + 128, 0, 255)
  return values.swapaxes(1, 2).reshape(height, width)


def _shifted(x: jax.Array, digits: int) -> jax.Array:
  """Divides by 2 ** digits, halves up."""
  return (x + (1 << (digits - 1))) >> digits


def _to_rgb(y: jax.Array, cb: jax.Array, cr: jax.Array) -> jax.Array:
  cb, cr = cb - 128, cr - 128
  red = (91881 * cr + 32768) >> 16
  green = (-22554 * cb - 46802 * cr + 32768) >> 16
  blue = (116130 * cb + 32768) >> 16
  return y[..., None] + jnp.stack([red, green, blue], axis=-1)
