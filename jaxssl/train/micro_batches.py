"""Contrastive gradients of batches that do not fit into memory at once."""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.methods.base import Aux, Method, PyTree
from jaxssl.parallel import collectives


def value_and_grad(method: Method, num_parts: int = 1) -> Callable[..., Any]:
  """Returns `jax.value_and_grad(method.loss)`, with the memory of a part.

  Cut into parts, a batch is embedded part by part without keeping anything for
  a backward pass; the loss compares the embeddings of all its rows; then each
  part is embedded once more, and its share of the loss's gradient goes through
  the encoders. The gradient is that of the whole batch, not the mean of the
  parts' losses, for one more forward pass.

  Parts take every `num_parts`-th row, so each is spread over all devices.

  Args:
    method: a `methods.base.Contrastive` if `num_parts` is above 1.
    num_parts: into how many parts the rows at hand are cut.

  Returns:
    A function with the arguments of `Method.loss` and the result
    `((loss, aux), gradient)`.

  Raises:
    UserError: a method that does not compare embeddings; when called, batch
      statistics, which would be those of a part, or rows that do not divide.

  References:
    Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup, 2021, https://arxiv.org/abs/2101.06983 (GradCache).
  """
  if num_parts == 1:
    return jax.value_and_grad(method.loss, has_aux=True)
  if not hasattr(method, 'compare'):
    raise UserError(
      f'{type(method).__name__} does not compare embeddings of a whole batch; '
      'train.micro_batches must be 1'
    )
  return functools.partial(_in_parts, method, num_parts)


def _in_parts(
  method, num_parts, params, state, batch, *, key, step, axis_name=None
):
  del step
  rows = len(jax.tree.leaves(batch)[0])
  if rows % num_parts:
    raise UserError(
      f'{rows} rows a device do not divide into {num_parts} micro-batches'
    )
  keys = collectives.row_keys(key, rows, axis_name)
  parts = _cut((batch, keys), num_parts)

  def embed(params: PyTree, part: PyTree) -> tuple[PyTree, PyTree]:
    batch, keys = part
    return method.embed(params, state, batch, keys=keys, axis_name=axis_name)

  first = jax.tree.map(lambda x: x[0], parts)
  _, stats = jax.eval_shape(embed, params, first)
  if jax.tree.leaves(stats):
    raise UserError(
      'train.micro_batches needs towers and heads without BatchNorm, whose '
      'statistics would be those of a part of the batch'
    )
  embeddings = jax.lax.map(lambda part: embed(params, part)[0], parts)
  (loss, metrics), (direct, cotangents) = jax.value_and_grad(
    method.compare, argnums=(0, 1), has_aux=True
  )(params, _join(embeddings), axis_name=axis_name)

  def add(grads: PyTree, xs: PyTree) -> tuple[PyTree, None]:
    part, cotangent = xs
    _, pull_back = jax.vjp(lambda params: embed(params, part)[0], params)
    return jax.tree.map(jnp.add, grads, *pull_back(cotangent)), None

  grads, _ = jax.lax.scan(add, direct, (parts, _cut(cotangents, num_parts)))
  return (loss, Aux(metrics, stats)), grads


def _cut(tree: PyTree, num_parts: int) -> PyTree:
  """[b, ...] -> [parts, b / parts, ...]; part p has the rows p, p + parts..."""
  return jax.tree.map(
    lambda x: x.reshape(-1, num_parts, *x.shape[1:]).swapaxes(0, 1), tree
  )


def _join(tree: PyTree) -> PyTree:
  """The inverse of `_cut`."""
  return jax.tree.map(
    lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), tree
  )
