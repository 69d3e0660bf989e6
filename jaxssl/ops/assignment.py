"""Spreading rows evenly over prototypes."""

import jax
import jax.numpy as jnp

from jaxssl.parallel import collectives


def sinkhorn(
  scores: jax.Array,
  *,
  epsilon: jax.Array | float,
  iterations: int = 3,
  rows: jax.Array | None = None,
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
    scores: float32 [b, P].
    epsilon: weight of the entropy; the smaller, the harder the assignment. A
      row whose largest score is 80 epsilon below that of the global batch is
      too far away for float32.
    iterations: how often both divisions are done.
    rows: float32 [b], 1 for a row that takes part and 0 for one that only fills
      up, whose assignment is 0 everywhere. None: all take part.
    others: scores float32 [Q, P] of more rows that take part, equal on all
      devices; None for no more.
    weight: 1 if they count, 0 if not.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    float32 [b, P] without gradient; rows that take part sum to 1.

  References:
    Caron et al., Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments, 2020, https://arxiv.org/abs/2006.09882, equations 3 to
    5; `distributed_sinkhorn` in main_swav.py of facebookresearch/swav. DINOv2
    centres its targets in this way, `sinkhorn_knopp_teacher` in dinov2/loss/ of
    facebookresearch/dinov2.
  """
  scores = jax.lax.stop_gradient(scores)
  largest = scores.max()
  if others is not None:
    others = jax.lax.stop_gradient(others)
    largest = jnp.maximum(largest, others.max())
  # It cancels: no overflow with a small epsilon.
  largest = collectives.pmax(largest, axis_name)
  q, more = jnp.exp((scores - largest) / epsilon), None
  if rows is not None:
    q *= rows[:, None]
  if others is not None:
    more = weight * jnp.exp((others - largest) / epsilon)
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


def _rows_to_one(q: jax.Array) -> jax.Array:
  return q / _positive(q.sum(axis=1, keepdims=True))


def _positive(x: jax.Array) -> jax.Array:
  # Rows that do not count are zero, and stay so.
  return jnp.maximum(x, jnp.finfo(x.dtype).tiny)
