"""How far the features of two networks are apart."""

import jax
import jax.numpy as jnp
import optax

from jaxssl.ops.contrastive import l2_normalize

# Shares of direction and of length in the distance of patches.
_COSINE, _SMOOTH = 0.9, 0.1


def cosine_distance(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns `1 - cos(x, y)`, in [0, 2], float32 [...].

  Args:
    x: float32 [..., D] (any norm).
    y: float32 [..., D] (any norm).
  """
  return 1.0 - jnp.sum(l2_normalize(x) * l2_normalize(y), axis=-1)


def match_distance(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns `0.9 (1 - cos(x, y)) + 0.1 mean_d smooth_l1(x_d - y_d)`, [...].

  With smooth_l1(e) = e²/2 where |e| < 1, else |e| - 1/2: the direction counts
  most, and the length is learned too.

  Source: Ranzinger et al. 2023 (arXiv 2312.06709), equation 3.

  Args:
    x: float32 [..., D].
    y: float32 [..., D].
  """
  smooth = optax.huber_loss(x, y, delta=1.0).mean(-1)
  return _COSINE * cosine_distance(x, y) + _SMOOTH * smooth
