"""What methods have in common that compare all rows of a batch."""

from typing import Protocol

from flax import linen as nn
import jax

from jaxssl.errors import UserError
from jaxssl.methods import variables
from jaxssl.methods.base import Aux, Batch, Contrastive, PyTree
from jaxssl.models.drop_path import fold_keys
from jaxssl.parallel import collectives


class Encodes(Protocol):
  """A method with one encoder for all views."""

  @property
  def encoder(self) -> nn.Module:
    """Images to features."""
    ...


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
  # Whatever a batch holds, each of its arrays has the rows first.
  rows = len(jax.tree.leaves(batch)[0])
  check_rows(method, rows * collectives.axis_size(axis_name))
  embeddings, stats = method.embed(
    params,
    state,
    batch,
    # By the place in the global batch, so that a row draws the same on any
    # device, and in any part of the batch.
    keys=collectives.row_keys(key, rows, axis_name),
    step=step,
    axis_name=axis_name,
  )
  return method.compare(
    params, state, embeddings, stats, step=step, axis_name=axis_name
  )


def embed_each(
  method: Encodes,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  keys: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[PyTree, PyTree]:
  """Returns `Contrastive.embed` with statistics of its own for every view.

  The views go through the encoder one after the other, so each has its own
  BatchNorm. The embeddings are a list of features [b, D].

  Args:
    method: has the encoder.
    params: see `Contrastive.embed`.
    state: see `Contrastive.embed`.
    batch: see `Contrastive.embed`.
    keys: see `Contrastive.embed`.
    step: not used.
    axis_name: see `Contrastive.embed`.
  """
  del step
  results, stats = variables.apply_each(
    'encoder',
    method.encoder,
    params,
    state,
    batch['views'],
    axis_name=axis_name,
    # The views of an image drop other paths.
    keys=[fold_keys(keys, v) for v in range(len(batch['views']))],
  )
  return [features for features, _ in results], stats


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
