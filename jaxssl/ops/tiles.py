"""Tiles cut out of an image, for tasks that arrange them."""

import jax
import jax.numpy as jnp


def cut_tiles(image: jax.Array, corners: jax.Array, size: int) -> jax.Array:
  """Cuts squares out of one image; the caller vmaps.

  Each channel has a corner of its own, so that channels can be shifted against
  each other. Corners are clamped so that every square lies in the image.

  Args:
    image: [H, W, C].
    corners: int32 [n, C, 2], (row, column) of the first pixel.
    size: side of the squares, at most H and W.

  Returns:
    [n, size, size, C].
  """

  def cut(plane: jax.Array, corner: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice(plane, corner, (size, size))

  # [C, H, W]: each channel is cut where its own corner is.
  planes = jnp.moveaxis(image, -1, 0)
  tiles = jax.vmap(jax.vmap(cut), in_axes=(None, 0))(planes, corners)
  return jnp.moveaxis(tiles, 1, -1)


def standardize(tiles: jax.Array, *, epsilon: float = 1e-5) -> jax.Array:
  """Gives each channel of each tile mean 0 and variance 1, in float32.

    y = (x - E[x]) / sqrt(Var[x] + epsilon)

  Args:
    tiles: [..., h, w, C].
    epsilon: keeps tiles of one colour at 0; a standard deviation of 0.003
      where x is about 1.
  """
  tiles = tiles.astype(jnp.float32)
  mean = tiles.mean((-3, -2), keepdims=True)
  var = tiles.var((-3, -2), keepdims=True)
  return (tiles - mean) * jax.lax.rsqrt(var + epsilon)
