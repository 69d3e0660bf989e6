"""The loss of methods that are sums over independent rows."""

import jax
import jax.numpy as jnp

from jaxssl.methods.base import Aux, Batch, PyTree, RowSums, RowWise
from jaxssl.parallel import collectives


def mean_loss(
  method: RowWise,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  key: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[jax.Array, Aux]:
  """Returns `Method.loss` of a row-wise method, with its arguments."""
  rows = len(jax.tree.leaves(batch)[0])
  sums, stats = method.sums(
    params,
    state,
    batch,
    keys=collectives.row_keys(key, rows, axis_name),
    step=step,
    axis_name=axis_name,
  )
  return finish(method, sums, stats, axis_name)


def finish(
  method: RowWise, sums: RowSums, stats: PyTree, axis_name: str | None
) -> tuple[jax.Array, Aux]:
  """Returns loss and `Aux` from the sums over the rows at hand.

  Devices can hold rows of different weight. Each divides by the same number,
  so that the average over devices weighs all rows of the global batch alike.

  Args:
    method: gives the metrics.
    sums: sums over the rows at hand.
    stats: new batch statistics.
    axis_name: mapped device axis, or None in the global view.
  """
  seen = jax.tree.map(jax.lax.stop_gradient, sums)
  metrics, carry = method.summarize(collectives.psum(seen, axis_name), stats)
  # With W the sum of the weights w_d of D devices: mean_d loss_d / (W / D) =
  # sum_d loss_d / W.
  loss = sums.loss / mean_weight(sums, axis_name)
  return loss, Aux(metrics, carry)


def mean_weight(sums: RowSums, axis_name: str | None) -> jax.Array:
  """Returns the weight that a device divides by, 1 where there is none."""
  weight = collectives.pmean(sums.weight, axis_name)
  return jnp.where(weight > 0, weight, 1.0)
