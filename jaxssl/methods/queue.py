"""Embeddings of earlier batches, the newest first."""

import jax
import jax.numpy as jnp


def push(queue: jax.Array, new: jax.Array) -> jax.Array:
  """Puts rows in front and drops as many at the end.

  Args:
    queue: [..., Q, K].
    new: [..., B, K], the global batch; if it is larger than the queue, its
      first rows are kept.

  Returns:
    [..., Q, K].
  """
  return jnp.concatenate([new, queue], axis=-2)[..., : queue.shape[-2], :]
