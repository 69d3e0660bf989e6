"""Images as three planes of float32.

Colour arithmetic that mixes channels runs on red, green and blue planes: with
the channel as the last axis a vector register would hold three of its lanes.
XLA cancels the joining and splitting between consecutive operations.
"""

import jax
import jax.numpy as jnp

Planes = tuple[jax.Array, jax.Array, jax.Array]


def split(image: jax.Array) -> Planes:
  """Returns the channels of [H, W, 3] as three float32 arrays [H, W]."""
  image = image.astype(jnp.float32)
  return image[..., 0], image[..., 1], image[..., 2]


def join(planes: Planes, dtype: jnp.dtype) -> jax.Array:
  """Returns [H, W, 3] of `dtype` from three planes [H, W]."""
  return jnp.stack(planes, axis=-1).astype(dtype)


def blend(planes: Planes, other: Planes, factor: jax.Array) -> Planes:
  """Returns clip(factor * planes + (1 - factor) * other, 0, 1).

  Args:
    planes: three planes in [0, 1].
    other: three planes of the same shape.
    factor: weight of `planes`; above 1 it moves away from `other`.
  """
  red, green, blue = (
    jnp.clip(factor * x + (1.0 - factor) * y, 0.0, 1.0)
    for x, y in zip(planes, other, strict=True)
  )
  return red, green, blue


def luma(planes: Planes) -> jax.Array:
  """Returns ITU-R 601 luma, 0.2989 R + 0.587 G + 0.114 B."""
  red, green, blue = planes
  # torchvision's factors, which add up to 0.9999.
  return 0.2989 * red + 0.587 * green + 0.114 * blue
