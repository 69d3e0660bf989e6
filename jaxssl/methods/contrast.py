"""The loss of methods that compare all rows of a batch."""

import jax

from jaxssl.methods.base import Aux, Batch, Contrastive, PyTree
from jaxssl.parallel import collectives


def loss(
  method: Contrastive,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  key: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[jax.Array, Aux]:
  """Returns `Method.loss` of a contrastive method; arguments are its."""
  rows = len(jax.tree.leaves(batch)[0])
  embeddings, stats = method.embed(
    params,
    state,
    batch,
    keys=collectives.row_keys(key, rows, axis_name),
    step=step,
    axis_name=axis_name,
  )
  return method.compare(
    params, state, embeddings, stats, step=step, axis_name=axis_name
  )
