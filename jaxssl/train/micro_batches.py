"""Gradients of batches that do not fit into memory at once."""

from collections.abc import Callable
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.methods import contrast, row_sums
from jaxssl.methods.base import (
  Aux,
  Batch,
  Contrastive,
  Method,
  PyTree,
  RowWise,
)
from jaxssl.parallel import collectives


def value_and_grad(method: Method, num_parts: int = 1) -> Callable[..., Any]:
  """Returns `jax.value_and_grad(method.loss)`, with the memory of a part.

  The gradient is that of the whole batch, in one of two ways:

  Where rows do not see each other (`methods.base.RowWise`, whose `loss` is
  `row_sums.mean_loss`), the sums over the rows of the parts are added, and so
  are their gradients.

  Where the loss compares all rows (`methods.base.Contrastive`, whose `loss` is
  `contrast.loss`), the mean of the parts' losses would be another loss. The
  batch is embedded part by part without keeping anything for a backward pass;
  the loss compares the embeddings of all its rows; then each part is embedded
  once more, and its share of the loss's gradient goes through the encoders: one
  more forward pass (GradCache).

  Parts take every `num_parts`-th row, so each is spread over all devices.

  Args:
    method: one of these two kinds if `num_parts` is above 1.
    num_parts: into how many parts the rows at hand are cut.

  Returns:
    A function with the arguments of `Method.loss` and the result
    `((loss, aux), gradient)`.

  Raises:
    UserError: a method of neither kind; when called, batch statistics, which
      would be those of a part, or rows that do not divide.

  References:
    Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup, 2021, https://arxiv.org/abs/2101.06983 (GradCache).
  """
  if num_parts == 1:
    return jax.value_and_grad(method.loss, has_aux=True)
  # A method says its kind by the function that its `loss` is.
  kind = type(method).loss
  if kind is contrast.loss:
    return functools.partial(_compared, cast(Contrastive, method), num_parts)
  if kind is row_sums.mean_loss:
    return functools.partial(_summed, cast(RowWise, method), num_parts)
  raise UserError(
    f'{type(method).__name__} cannot take its batch in parts, because '
    'BatchNorm and keys need all rows at once; set train.micro_batches=1, and '
    'encoder.remat or more devices for memory. Methods can whose loss compares '
    'embeddings (GradCache) or adds up sums over rows: see docs/parallelism.md'
  )


def _summed(
  method: RowWise,
  num_parts: int,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  key: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[tuple[jax.Array, Aux], PyTree]:
  parts = _parts(batch, key, num_parts, axis_name)

  def measure(params: PyTree, part: PyTree) -> tuple[jax.Array, PyTree]:
    batch, keys = part
    sums, stats = method.sums(
      params, state, batch, keys=keys, step=step, axis_name=axis_name
    )
    return sums.loss, (sums, stats)

  # Nothing is computed: the scan needs to know what it starts from.
  _, (shapes, stats) = jax.eval_shape(measure, params, _first(parts))
  _refuse_statistics(stats)

  def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
    grads, (sums, _) = jax.grad(measure, has_aux=True)(params, part)
    return jax.tree.map(jnp.add, total, (grads, sums)), None

  nothing = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), (params, shapes)
  )
  (grads, sums), _ = jax.lax.scan(add, nothing, parts)
  weight = row_sums.mean_weight(sums, axis_name)
  # Once, at the end: a part knows its own weight, not that of the batch. The
  # weight does not depend on `params`, so dividing is all there is to it.
  grads = jax.tree.map(lambda g: g / weight, grads)
  return row_sums.finish(method, sums, stats, axis_name), grads


def _compared(
  method: Contrastive,
  num_parts: int,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  key: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[tuple[jax.Array, Aux], PyTree]:
  parts = _parts(batch, key, num_parts, axis_name)
  rows = len(jax.tree.leaves(batch)[0])
  contrast.check_rows(method, rows * collectives.axis_size(axis_name))

  def embed(params: PyTree, part: PyTree) -> tuple[PyTree, PyTree]:
    batch, keys = part
    return method.embed(
      params, state, batch, keys=keys, step=step, axis_name=axis_name
    )

  _, stats = jax.eval_shape(embed, params, _first(parts))
  _refuse_statistics(stats)
  # Not differentiated, so nothing inside of the networks is kept.
  embeddings = jax.lax.map(lambda part: embed(params, part)[0], parts)
  # `direct` is the gradient of heads and scalars, which `compare` sees itself;
  # encoders get theirs through the embeddings.
  result, (direct, cotangents) = jax.value_and_grad(
    method.compare, argnums=(0, 2), has_aux=True
  )(params, state, _join(embeddings), stats, step=step, axis_name=axis_name)

  def add(grads: PyTree, xs: PyTree) -> tuple[PyTree, None]:
    part, cotangent = xs
    # The same keys as before, so that the same paths are dropped.
    _, pull_back = jax.vjp(lambda params: embed(params, part)[0], params)
    return jax.tree.map(jnp.add, grads, *pull_back(cotangent)), None

  grads, _ = jax.lax.scan(add, direct, (parts, _cut(cotangents, num_parts)))
  return result, grads


def _parts(
  batch: PyTree, key: jax.Array, num_parts: int, axis_name: str | None
) -> PyTree:
  """Returns the parts of the batch, each row with the key that it has whole."""
  rows = len(jax.tree.leaves(batch)[0])
  if rows % num_parts:
    raise UserError(
      f'{rows} rows per device do not divide into {num_parts} micro-batches'
    )
  return _cut((batch, collectives.row_keys(key, rows, axis_name)), num_parts)


def _refuse_statistics(stats: PyTree) -> None:
  if jax.tree.leaves(stats):
    raise UserError(
      'train.micro_batches needs an encoder without BatchNorm, whose '
      'statistics would be those of a part of the batch; use a vision '
      'transformer, or encoder.remat or more devices for memory'
    )


def _first(parts: PyTree) -> PyTree:
  return jax.tree.map(lambda x: x[0], parts)


def _cut(tree: PyTree, num_parts: int) -> PyTree:
  """[b, ...] -> [parts, b / parts, ...]; part p has the rows p, p + parts..."""
  # A run of neighbouring rows would lie on one device, or on few.
  return jax.tree.map(
    lambda x: x.reshape(-1, num_parts, *x.shape[1:]).swapaxes(0, 1), tree
  )


def _join(tree: PyTree) -> PyTree:
  """The inverse of `_cut`."""
  return jax.tree.map(
    lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), tree
  )
