"""Blurs of one image, float32 [H, W, 3] in [0, 1]; the caller vmaps."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jaxssl.augment.blur import gaussian_blur
from jaxssl.augment.corruptions.resampling import resample, zoom_matrix


def defocus_blur(
  key: jax.Array, image: jax.Array, radius: float, softness: float
) -> jax.Array:
  """Averages over a disk, mirrored about the outermost pixels.

  Args:
    key: not used.
    image: [H, W, 3].
    radius: radius of the disk, in pixels.
    softness: standard deviation that blurs its rim.
  """
  del key
  kernel = disk(radius, softness)
  reach = len(kernel) // 2
  pad = ((reach, reach), (reach, reach), (0, 0))
  planes = jnp.pad(image, pad, mode='reflect').transpose(2, 0, 1)
  blurred = jax.lax.conv_general_dilated(
    # The channels as a batch of images of one channel.
    planes[:, None],
    jnp.asarray(kernel)[None, None],
    window_strides=(1, 1),
    padding='VALID',
    precision=jax.lax.Precision.HIGHEST,
  )
  return blurred[:, 0].transpose(1, 2, 0)


def disk(radius: float, softness: float) -> np.ndarray:
  """Returns the kernel of a lens out of focus, float32 [2 r + 1, 2 r + 1].

  A disk on a grid of at least 17 pixels, blurred by a Gaussian of 3 taps (5 for
  a radius above 8), without the rim of zeros that is left.
  """
  reach = int(max(8, radius))
  y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
  kernel = (x**2 + y**2 <= radius**2).astype(np.float64)
  kernel /= kernel.sum()
  taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
  taps = np.exp(-(taps**2) / (2 * softness**2))
  for axis in (0, 1):
    kernel = ndimage.correlate1d(
      kernel, taps / taps.sum(), axis=axis, mode='mirror'
    )
  kernel = kernel.astype(np.float32)
  rim = reach - np.abs(np.argwhere(kernel) - reach).max()
  return kernel[rim : len(kernel) - rim, rim : len(kernel) - rim]


def glass_blur(
  key: jax.Array, image: jax.Array, sigma: float, reach: int, rounds: int
) -> jax.Array:
  """Blurs, takes every pixel from a place nearby, and blurs again.

  Args:
    key: PRNG key.
    image: [H, W, 3].
    sigma: deviation of the Gaussian in pixels, cut off at 4 σ; outermost pixels
      are repeated.
    reach: pixels come from -reach to reach - 1 away in both directions.
    rounds: how often pixels are taken from nearby.
  """
  radius = int(4 * sigma + 0.5)
  image = gaussian_blur(image, sigma, radius=radius, border='edge')
  for key_ in jax.random.split(key, rounds):
    offsets = jax.random.randint(key_, (*image.shape[:2], 2), -reach, reach)
    image = scatter(image, offsets, reach=reach)
  return gaussian_blur(image, sigma, radius=radius, border='edge')


def scatter(image: jax.Array, offsets: jax.Array, *, reach: int) -> jax.Array:
  """Overwrites one pixel after the other by one nearby, from the last back.

  x[h, w] <- x[h + dy, w + dx] for h from H - reach down to reach + 1, w alike.
  The authors' line reads as an exchange, but on rows of an array, which are
  views, it copies, and so were the published images made.

  A pixel that copies a later one gets what that has become. Following these
  chains by doubling needs log₂(H W) steps instead of H W.

  Args:
    image: [H, W, C].
    offsets: (dy, dx) of every pixel, int [H, W, 2], from -reach to reach - 1.
    reach: width of the rim that stays.
  """
  height, width, _ = image.shape
  y, x = jnp.mgrid[:height, :width]
  moved = (y > reach) & (y <= height - reach)
  moved &= (x > reach) & (x <= width - reach)
  place = (y * width + x).ravel()
  shift = offsets[..., 0] * width + offsets[..., 1]
  source = place + jnp.where(moved, shift, 0).ravel()
  changed_before = (source > place) & moved.ravel()[source]
  last = jnp.where(changed_before, source, place)
  steps = (height * width - 1).bit_length()
  # Each round follows a chain twice as far; its end points to itself.
  last = jax.lax.fori_loop(0, steps, lambda _, last: last[last], last)
  pixels = image.reshape(height * width, -1)
  return pixels[source[last]].reshape(image.shape)


def motion_blur(
  key: jax.Array, image: jax.Array, radius: int, sigma: float
) -> jax.Array:
  """Blurs along a direction, uniform in ±45°; see `blur_along`.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    radius: half the length of the blur in pixels.
    sigma: deviation of the Gaussian in pixels.
  """
  degrees = jax.random.uniform(key, (), minval=-45.0, maxval=45.0)
  return blur_along(image, degrees, radius=radius, sigma=sigma)


def blur_along(
  image: jax.Array, degrees: jax.Array, *, radius: int, sigma: float
) -> jax.Array:
  """Averages from each pixel onward in one direction.

  y(p) = Σ_i g(i) x(p + ⌈i (sin φ, cos φ) - 1/2⌉), i = 0 .. 2 radius, g the
  falling half of a Gaussian, Σ g = 1; outermost pixels repeated. ImageMagick's
  `MotionBlurImage`.

  Args:
    image: [H, W, C].
    degrees: φ, from the x axis towards the y axis, which points down.
    radius: half of the length in pixels.
    sigma: deviation of the Gaussian in pixels.
  """
  height, width, _ = image.shape
  taps = np.arange(2 * radius + 1, dtype=np.float32)
  weights = np.exp(-np.square(taps) / (2 * sigma**2))
  angle = jnp.deg2rad(degrees)
  down = jnp.ceil(taps * jnp.sin(angle) - 0.5).astype(jnp.int32)
  right = jnp.ceil(taps * jnp.cos(angle) - 0.5).astype(jnp.int32)

  def add(
    total: jax.Array, tap: tuple[jax.Array, ...]
  ) -> tuple[jax.Array, None]:
    weight, dy, dx = tap
    rows = jnp.clip(jnp.arange(height) + dy, 0, height - 1)
    columns = jnp.clip(jnp.arange(width) + dx, 0, width - 1)
    # Whole rows, then whole columns move: a direction is one shift a tap.
    return total + weight * image[rows][:, columns], None

  taps = (weights / weights.sum(), down, right)
  return jax.lax.scan(add, jnp.zeros_like(image), taps)[0]


def zoom_blur(
  key: jax.Array, image: jax.Array, stop: float, step: float
) -> jax.Array:
  """Averages the image and its enlargements by 1, 1 + step, ... below stop.

  The image counts twice, as it is and enlarged by 1.

  Args:
    key: not used.
    image: float32 [H, W, 3] in [0, 1].
    stop: bound of the enlargements, above 1.
    step: distance of two enlargements, positive.
  """
  del key
  height, width, _ = image.shape
  factors = np.arange(1, stop, step)
  zooms = tuple(
    np.stack([zoom_matrix(size, factor) for factor in factors])
    for size in (height, width)
  )
  # One after the other: all at once would hold a copy of the batch for each.
  total, _ = jax.lax.scan(
    lambda total, zoom: (total + resample(image, *zoom), None), image, zooms
  )
  return total / (len(factors) + 1)
