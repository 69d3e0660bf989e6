"""The loss of methods that compare all rows of a batch."""

import jax

from jaxssl.errors import UserError
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
  """Returns `Method.loss` of a contrastive method, with its arguments.

  Raises:
    UserError: if the global batch has less than two rows.
  """
  rows = len(jax.tree.leaves(batch)[0])
  check_rows(method, rows * collectives.axis_size(axis_name))
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


def check_rows(method: Contrastive, rows: int) -> None:
  """Refuses a global batch in which there is nothing to compare.

  Args:
    method: whose batch it is.
    rows: rows of all devices and micro-batches together.

  Raises:
    UserError: if they are less than two.
  """
  if rows < 2:
    raise UserError(
      f'{type(method).__name__} compares the rows of a batch with each other; '
      f'a batch of {rows} has nothing to compare, set train.batch_size to 2 '
      'or more'
    )
