"""Spreading rows evenly over prototypes."""

import jax
import jax.numpy as jnp

from jaxssl.parallel import collectives


def sinkhorn(
  scores: jax.Array,
  *,
  epsilon: float,
  iterations: int = 3,
  others: jax.Array | None = None,
  weight: jax.Array | float = 1.0,
  axis_name: str | None = None,
) -> jax.Array:
  """Returns soft assignments of rows to prototypes that all are used alike.

  From Q = exp(scores / epsilon), the columns (prototypes) and then the rows are
  divided by their sums, so many times. Sums of columns go over the rows of the
  global batch. This is the fixed-point iteration of Sinkhorn and Knopp for
  optimal transport with an entropy (Cuturi 2013, arXiv 1306.0895); factors that
  the authors of SwAV carry along cancel.

  Args:
    scores: float32 [b, P], cosines: at most 1.
    epsilon: weight of the entropy; the smaller, the harder the assignment.
    iterations: how often both divisions are done.
    others: scores float32 [Q, P] of more rows that take part, equal on all
      devices; None for no more.
    weight: 1 if they count, 0 if not.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    float32 [b, P] without gradient; rows sum to 1.

  References:
    Caron et al., Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments, 2020, https://arxiv.org/abs/2006.09882, equations 3 to
    5; `distributed_sinkhorn` in main_swav.py of facebookresearch/swav.
  """
  q, more = _kernel(scores, epsilon), None
  if others is not None:
    more = weight * _kernel(others, epsilon)
  for _ in range(iterations):
    total = collectives.psum(q.sum(axis=0, keepdims=True), axis_name)
    if more is not None:
      # Behind the sum over devices, as all devices have the same rows.
      total += more.sum(axis=0, keepdims=True)
      more = _rows_to_one(more / _positive(total))
    # Rows come last, so that each is a distribution; columns are then even only
    # nearly.
    q = _rows_to_one(q / _positive(total))
  return q


def _kernel(scores: jax.Array, epsilon: float) -> jax.Array:
  # Less the largest cosine, which cancels: no overflow with a small epsilon.
  return jnp.exp((jax.lax.stop_gradient(scores) - 1) / epsilon)


def _rows_to_one(q: jax.Array) -> jax.Array:
  return q / _positive(q.sum(axis=1, keepdims=True))


def _positive(x: jax.Array) -> jax.Array:
  # Rows that do not count are zero, and stay so.
  return jnp.maximum(x, jnp.finfo(x.dtype).tiny)
