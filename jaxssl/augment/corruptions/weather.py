"""Weather on one image, float32 [H, W, 3] in [0, 1]; the caller vmaps."""

import jax
import jax.numpy as jnp

from jaxssl.augment.corruptions.blurs import blur_along
from jaxssl.augment.corruptions.resampling import resample, zoom_matrix

_WIBBLE = 100.0


def snow(
  key: jax.Array,
  image: jax.Array,
  mean: float,
  deviation: float,
  zoom: float,
  threshold: float,
  radius: int,
  sigma: float,
  kept: float,
) -> jax.Array:
  """Lets flakes fall, and whitens.

  Flakes are Gaussian noise, enlarged, that exceeds a threshold, blurred along a
  direction from -135° to -45°.

  Args:
    key: PRNG key.
    image: [H, W, 3].
    mean: mean of the noise.
    deviation: standard deviation of the noise.
    zoom: factor by which it is enlarged.
    threshold: below it there is no flake.
    radius: radius of the blur, see `blur_along`.
    sigma: deviation of the blur in pixels.
    kept: see `cover`.
  """
  height, width, _ = image.shape
  flake_key, angle_key = jax.random.split(key)
  flakes = mean + deviation * jax.random.normal(flake_key, (height, width, 1))
  flakes = resample(flakes, zoom_matrix(height, zoom), zoom_matrix(width, zoom))
  flakes = jnp.where(flakes < threshold, 0.0, jnp.clip(flakes, 0.0, 1.0))
  degrees = jax.random.uniform(angle_key, (), minval=-135.0, maxval=-45.0)
  flakes = blur_along(flakes, degrees, radius=radius, sigma=sigma)
  return cover(image, flakes, kept=kept)


def cover(image: jax.Array, flakes: jax.Array, *, kept: float) -> jax.Array:
  """Returns k x + (1 - k) max(x, 1.5 luma(x) + 0.5) + f + f turned by 180°.

  Args:
    image: x, [H, W, 3].
    flakes: f, [H, W, 1].
    kept: k.
  """
  luma = image @ jnp.array([0.299, 0.587, 0.114])
  white = jnp.maximum(image, 1.5 * luma[..., None] + 0.5)
  return kept * image + (1 - kept) * white + flakes + flakes[::-1, ::-1]


def fog(
  key: jax.Array, image: jax.Array, amount: float, decay: float
) -> jax.Array:
  """Returns (x + c p) m / (m + c), m = max x, p a `plasma`.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    amount: c, weight of the fog.
    decay: decay of `plasma`.
  """
  height, width, _ = image.shape
  # The algorithm halves a square; the image is a corner of it.
  size = 1 << (max(height, width) - 1).bit_length()
  noise = jax.random.uniform(key, (size, size), minval=-1.0)
  haze = plasma(noise, decay=decay)[:height, :width, None]
  brightest = image.max()
  return (image + amount * haze) * brightest / (brightest + amount)


def plasma(noise: jax.Array, *, decay: float) -> jax.Array:
  """Returns a cloud by the diamond-square algorithm, on a torus.

  From coarse to fine, each point between four others becomes their mean plus
  w² times its noise; w is 100, divided by `decay` from step to step.

  Args:
    noise: [n, n] in [-1, 1), n a power of two.
    decay: above 1; larger is smoother.

  Returns:
    [n, n], from 0 to 1.
  """
  heights = jnp.zeros_like(noise)
  step, wibble = len(noise), _WIBBLE
  # Written out while tracing: log₂ n rounds, each of other shapes.
  while step >= 2:
    old, new = slice(None, None, step), slice(step // 2, None, step)
    corners = heights[old, old]
    right, below = jnp.roll(corners, -1, 1), jnp.roll(corners, -1, 0)
    around = corners + below + right + jnp.roll(below, -1, 1)
    centers = around / 4 + wibble**2 * noise[new, new]
    above = corners + right + centers + jnp.roll(centers, 1, 0)
    beside = corners + below + centers + jnp.roll(centers, 1, 1)
    heights = heights.at[new, new].set(centers)
    heights = heights.at[old, new].set(above / 4 + wibble**2 * noise[old, new])
    heights = heights.at[new, old].set(beside / 4 + wibble**2 * noise[new, old])
    step, wibble = step // 2, wibble / decay
  heights -= heights.min()
  return heights / heights.max()


def brightness(key: jax.Array, image: jax.Array, amount: float) -> jax.Array:
  """Adds to the value of HSV, at most to 1; hue and saturation stay.

  Args:
    key: not used.
    image: float32 [H, W, 3] in [0, 1].
    amount: what is added, in [0, 1].
  """
  del key
  value = image.max(axis=-1, keepdims=True)
  brighter = jnp.minimum(value + amount, 1.0)
  factor = brighter / jnp.where(value > 0, value, 1.0)
  # Black has no hue, and becomes gray.
  return jnp.where(value > 0, image * factor, brighter)
