"""What processing does to one image, float32 [H, W, 3]; the caller vmaps."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jaxssl.augment import color
from jaxssl.augment.corruptions.resampling import box_matrix, resample


def contrast(key: jax.Array, image: jax.Array, factor: float) -> jax.Array:
  """Returns c x + (1 - c) mean x, the mean of each channel.

  Args:
    key: not used.
    image: float32 [H, W, 3] in [0, 1].
    factor: c; 1 changes nothing, 0 leaves the mean.
  """
  del key
  return color.adjust_contrast_tf(image, factor)


def pixelate(key: jax.Array, image: jax.Array, share: float) -> jax.Array:
  """Shrinks to a share of the side and enlarges again, both by boxes.

  Args:
    key: not used.
    image: float32 [H, W, 3] in [0, 1].
    share: share of the side that is left, in (0, 1].
  """
  del key
  down, up = [], []
  for size in image.shape[:2]:
    small = max(1, int(size * share))
    down.append(box_matrix(size, small))
    up.append(box_matrix(small, size))
  return resample(resample(image, *down), *up)


def elastic_transform(
  key: jax.Array,
  image: jax.Array,
  strength: float,
  smoothness: float,
  jitter: float,
) -> jax.Array:
  """Tilts the image, then moves every pixel by a smooth random field.

  Args:
    key: PRNG key.
    image: [H, W, 3].
    strength: factor of the field.
    smoothness: standard deviation of the Gaussian that smooths a field from
      U(-1, 1), cut off at 3 of them.
    jitter: each of three corners moves by up to this, see `tilt`.
      All three are shares of the shorter side.
  """
  height, width, _ = image.shape
  side = min(height, width)
  corner_key, field_key = jax.random.split(key)
  moves = jax.random.uniform(corner_key, (3, 2), minval=-1.0)
  image = tilt(image, jitter * side * moves)
  # The mildest of CIFAR-10-C and Tiny ImageNet-C is the tilt alone.
  if not strength:
    return image
  field = jax.random.uniform(field_key, (height, width, 2), minval=-1.0)
  # As matrices: the deviation is a constant of the severity.
  smooth = [_smoothing(size, smoothness * side) for size in (height, width)]
  return displace(image, strength * side * resample(field, *smooth))


def _smoothing(size: int, sigma: float) -> np.ndarray:
  """Returns the matrix of a Gaussian filter, mirrored at the rim."""
  return ndimage.gaussian_filter1d(
    np.eye(size, dtype=np.float32), sigma, axis=0, mode='reflect', truncate=3
  )


def tilt(image: jax.Array, moves: jax.Array) -> jax.Array:
  """Maps the image by the affine map that moves three corners.

  The corners are those of a square in the middle, a third of the side up, down,
  left and right of it: below right, above right, above left. Linear between
  pixels, mirrored about the outermost ones.

  Args:
    image: [H, W, 3].
    moves: (dx, dy) of the corners in pixels, [3, 2].
  """
  height, width, _ = image.shape
  third = min(height, width) // 3
  middle = np.array([width // 2, height // 2])
  old = middle + third * np.array([[1, 1], [1, -1], [-1, -1]])
  new = old + moves
  (ax, ay), (bx, by) = new[1] - new[0], new[2] - new[0]
  y, x = jnp.mgrid[:height, :width]
  x, y = x - new[0, 0], y - new[0, 1]
  # Every pixel as corner 0 plus a (corner 1 - corner 0) + b (corner 2 - ...).
  determinant = ax * by - ay * bx
  a, b = (x * by - y * bx) / determinant, (ax * y - ay * x) / determinant
  edges = old[1:] - old[0]
  columns = old[0, 0] + a * edges[0, 0] + b * edges[1, 0]
  rows = old[0, 1] + a * edges[0, 1] + b * edges[1, 1]
  return _sample(image, rows, columns, 'mirror')


def displace(image: jax.Array, field: jax.Array) -> jax.Array:
  """Returns y(p) = x(p + d(p)), linear between pixels, mirrored at the rim.

  Args:
    image: x, [H, W, 3].
    field: d = (rows, columns), [H, W, 2].
  """
  rows, columns = jnp.mgrid[: image.shape[0], : image.shape[1]]
  return _sample(
    image, rows + field[..., 0], columns + field[..., 1], 'reflect'
  )


def _sample(
  image: jax.Array, rows: jax.Array, columns: jax.Array, mode: str
) -> jax.Array:
  def plane(x: jax.Array) -> jax.Array:
    return jax.scipy.ndimage.map_coordinates(
      x, (rows, columns), order=1, mode=mode
    )

  return jax.vmap(plane, in_axes=-1, out_axes=-1)(image)
