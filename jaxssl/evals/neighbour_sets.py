"""Which pictures are neighbours, and how many of them stay neighbours."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Rows whose neighbours are sought; the table of their similarities is square.
MAX_ROWS = 4096


def nearest(features: np.ndarray, *, k: int) -> np.ndarray:
  """Returns the nearest other rows of each row by cosine similarity.

  Args:
    features: float [n, D], n > 1; of more than 4096 every so many are taken.
    k: of neighbours; n - 1 if there are fewer.

  Returns:
    int32 [m, min(k, m - 1)] with m = min(n, 4096) or a few less, the nearest
    first; of equals the one that stands first.
  """
  rows = jnp.asarray(features[:: -(-len(features) // MAX_ROWS)])
  return np.asarray(_nearest(rows, k=min(k, len(rows) - 1)))


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Returns the share of neighbours that each row has in both, float64 [n].

  Rows that know nothing of each other share k / (n - 1) on average.

  Args:
    one: int [n, k], neighbours without repetition.
    other: the same.
  """
  return (one[:, :, None] == other[:, None]).any(axis=2).mean(axis=1)


@functools.partial(jax.jit, static_argnames='k')
def _nearest(rows: jax.Array, *, k: int) -> jax.Array:
  rows = rows.astype(jnp.float32)
  norm = jnp.linalg.norm(rows, axis=1, keepdims=True)
  rows = rows / jnp.maximum(norm, 1e-12)
  # Products in TF32 or bfloat16 would reorder neighbours.
  similarity = jnp.matmul(rows, rows.T, precision='highest')
  own = jnp.eye(len(rows), dtype=bool)
  return jax.lax.top_k(jnp.where(own, -jnp.inf, similarity), k)[1]
