"""Noise on one image, float32 [H, W, 3] in [0, 1]; the caller vmaps and clips.

Every channel has noise of its own.
"""

import jax
import jax.numpy as jnp


def gaussian_noise(key: jax.Array, image: jax.Array, sigma: float) -> jax.Array:
  """Returns x + σ n, n ~ N(0, 1).

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    sigma: σ, deviation of the noise.
  """
  return image + sigma * jax.random.normal(key, image.shape)


def shot_noise(key: jax.Array, image: jax.Array, photons: float) -> jax.Array:
  """Returns n / c, n ~ Poisson(c x): c photons make white.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    photons: c, positive.
  """
  counts = jax.random.poisson(key, image * photons, image.shape)
  return counts.astype(jnp.float32) / photons


def impulse_noise(key: jax.Array, image: jax.Array, share: float) -> jax.Array:
  """Replaces a share of the values, half by 0 and half by 1.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    share: share of the values, in [0, 1].
  """
  # Whether a value is hit, and by what, are drawn apart.
  hit, salt = jax.random.uniform(key, (2, *image.shape))
  return jnp.where(hit < share, jnp.float32(salt < 0.5), image)
