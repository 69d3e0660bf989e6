"""How far two embeddings of a picture point apart."""

import chex
import jax
import jax.numpy as jnp

from jaxssl.ops.contrastive import l2_normalize


def squared_distance(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns mean_b |x_b / |x_b| - y_b / |y_b||² = 2 - 2 mean_b cos(x_b, y_b).

  From 0 (the same direction) to 4 (opposite); 2 of directions that have nothing
  to do with each other.

  Args:
    x: [b, D] (any norm).
    y: [b, D], same rows (any norm).
  """
  return 2 + 2 * negative_cosine(x, y)


def negative_cosine(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns -mean_b cos(x_b, y_b).

  From -1 (the same direction) to 1 (opposite); 0 of directions that have
  nothing to do with each other.

  Args:
    x: [b, D] (any norm).
    y: [b, D], same rows (any norm).
  """
  chex.assert_equal_shape([x, y])
  return -jnp.mean(jnp.sum(l2_normalize(x) * l2_normalize(y), axis=-1))
