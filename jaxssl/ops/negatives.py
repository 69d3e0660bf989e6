"""Sums over all negatives of the global batch, in blocks of bounded memory.

Every contrastive loss compares a row with its positive, which is at hand, and
with all other rows of the global batch, its negatives. What a loss needs of the
negatives is one number per row: `logsumexp` of their logits, or the sum of
their `softplus`. Both are computed here from the full matrix of logits, or
block by block, with the same numbers.

Block by block, no more than `chunk` columns of the matrix exist at a time, in
the forward and in the backward pass, which computes them again. The columns
travel around the ring of devices, and their gradients with them, so no device
ever holds the rows of all: memory is O(b (chunk + D)) instead of O(b B + B D)
for b rows at hand of B. That holds in the device view and in the global view of
a step that is compiled for several devices (`collectives.device_view`).

References:
  The ring: Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023,
  https://arxiv.org/abs/2303.15343, section 3.3, whose blocks are summed; the
  online log-sum-exp for softmax losses: Cheng et al., Breaking the Memory
  Barrier, 2024, https://arxiv.org/abs/2410.17243.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.parallel import collectives
from jaxssl.parallel.collectives import AxisName

# In place of the logits that are left out. Finite, so that a batch without
# negatives has finite gradients; exp(-1e9) is 0 in float32.
_LEFT_OUT = -1e9


class Negatives(NamedTuple):
  """What a loss needs to know of the negatives, float32 [n] each.

  Attributes:
    total: logsumexp or sum of softplus of the logits of a row.
    largest: the largest logit of a row, without gradient.
  """

  total: jax.Array
  largest: jax.Array


def logsumexp(
  x: jax.Array,
  y: jax.Array,
  rows: jax.Array,
  columns: jax.Array | None = None,
  *,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> Negatives:
  """Returns log sum_j exp(x_i . y_j) over the negatives j of each row i.

  Args:
    x: float32 [n, D], rows at hand, with the temperature in it.
    y: float32 [m, D], rows at hand of what they are compared with.
    rows: int32 [n], a number for each row at hand; columns of the global batch
      with the number of a row are not among its negatives.
    columns: int32 [m], the numbers of y; None: those of x.
    chunk: columns at a time; None for the full matrix.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Raises:
    UserError: if `chunk` is not positive.
  """
  columns = rows if columns is None else columns
  return _negatives(
    _LOGSUMEXP, x, y, jnp.zeros(()), rows, columns, chunk, axis_name
  )


def softplus(
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array | None = None,
  *,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> Negatives:
  """Returns sum_j log(1 + exp(x_i . y_j + bias)) over the negatives j of i.

  Args:
    x: float32 [n, D], rows at hand, with the temperature in it.
    y: float32 [m, D], rows at hand of what they are compared with.
    bias: float32 scalar.
    rows: int32 [n], see `logsumexp`.
    columns: int32 [m], see `logsumexp`.
    chunk: columns at a time; None for the full matrix.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Raises:
    UserError: if `chunk` is not positive.
  """
  columns = rows if columns is None else columns
  return _negatives(_SOFTPLUS, x, y, bias, rows, columns, chunk, axis_name)


@dataclasses.dataclass(frozen=True)
class _Reduction:
  """One number per row from its logits.

  Attributes:
    block: logits [n, c] -> [n].
    join: the numbers of two blocks -> that of both.
    empty: number of no logits.
    slope: (logits [n, c], number [n, 1]) -> its derivative by each logit.
  """

  block: Callable[[jax.Array], jax.Array]
  join: Callable[[jax.Array, jax.Array], jax.Array]
  empty: float
  slope: Callable[[jax.Array, jax.Array], jax.Array]


_LOGSUMEXP = _Reduction(
  block=lambda logits: jax.nn.logsumexp(logits, axis=1),
  join=jnp.logaddexp,
  empty=_LEFT_OUT,
  slope=lambda logits, total: jnp.exp(
    logits - jnp.broadcast_to(total, logits.shape)
  ),
)
_SOFTPLUS = _Reduction(
  block=lambda logits: jax.nn.softplus(logits).sum(1),
  join=jnp.add,
  empty=0.0,
  slope=lambda logits, total: jax.nn.sigmoid(logits),
)


def _negatives(
  reduction: _Reduction,
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
  chunk: int | None,
  axis_name: str | None,
) -> Negatives:
  chex.assert_rank([x, y, rows, columns, bias], [2, 2, 1, 1, 0])
  chex.assert_equal_shape_prefix([x, rows], 1)
  chex.assert_equal_shape_prefix([y, columns], 1)
  if chunk is None:
    all_y = collectives.gather(y, axis_name)
    all_columns = collectives.gather(columns, axis_name)
    logits = _logits(x, all_y, bias, rows, all_columns)
    largest = jax.lax.stop_gradient(logits.max(1))
    return Negatives(reduction.block(logits), largest)
  if chunk < 1:
    raise errors.UserError(f'chunk is {chunk}; it must be at least 1')
  blocks = functools.partial(_blocks, reduction, chunk)
  total, largest = collectives.device_view(blocks, axis_name)(
    x, y, bias, rows, columns
  )
  return Negatives(total, jax.lax.stop_gradient(largest))


def _logits(
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
) -> jax.Array:
  """Returns x . y + bias [n, m], `_LEFT_OUT` where the numbers are equal."""
  # A temperature of 0.1 multiplies what TF32 or bfloat16 round by 10, and the
  # exponential feels the difference, not the share.
  logits = jnp.matmul(x, y.T, precision='highest') + bias
  return jnp.where(rows[:, None] == columns[None], _LEFT_OUT, logits)


class _Columns(NamedTuple):
  """What travels around the ring.

  Attributes:
    y: [k, chunk, D], padded with rows of zeros.
    rows: [k, chunk], their numbers; padding has that of no row.
  """

  y: jax.Array
  rows: jax.Array


_NO_ROW = -1


PyTree = Any
# (x, y, bias, rows, columns, the total of each row)
_Residuals = tuple[
  jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, jax.Array
]


def _blocks(
  reduction: _Reduction,
  chunk: int,
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
  *,
  axis_name: AxisName | None,
) -> tuple[jax.Array, jax.Array]:
  # A custom_vjp takes no keywords.
  return _in_blocks(reduction, chunk, axis_name, x, y, bias, rows, columns)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _in_blocks(
  reduction: _Reduction,
  chunk: int,
  axis_name: AxisName | None,
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  return _in_blocks_fwd(reduction, chunk, axis_name, x, y, bias, rows, columns)[
    0
  ]


def _in_blocks_fwd(
  reduction: _Reduction,
  chunk: int,
  axis_name: AxisName | None,
  x: jax.Array,
  y: jax.Array,
  bias: jax.Array,
  rows: jax.Array,
  columns: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array], _Residuals]:
  def see(result: Negatives, columns: _Columns) -> tuple[Negatives, None]:
    logits = _logits_of_block(x, columns, bias, rows)
    total = reduction.join(result.total, reduction.block(logits))
    return Negatives(total, jnp.maximum(result.largest, logits.max(1))), None

  def hop(
    carry: tuple[Negatives, _Columns], _: None
  ) -> tuple[tuple[Negatives, _Columns], None]:
    result, columns = carry
    result, _ = jax.lax.scan(see, result, columns)
    # Also after the last block, where it is of no use, since every round of a
    # scan is the same.
    return (result, collectives.rotate(columns, axis_name)), None

  # Made from x, so that it varies over devices as the results do.
  nothing = jnp.zeros_like(x[:, 0])
  result = Negatives(nothing + reduction.empty, nothing + _LEFT_OUT)
  carry = (result, _split(y, columns, chunk))
  (result, _), _ = jax.lax.scan(
    hop, carry, length=collectives.axis_size(axis_name)
  )
  residuals = (x, y, bias, rows, columns, result.total)
  return (result.total, result.largest), residuals


def _in_blocks_bwd(
  reduction: _Reduction,
  chunk: int,
  axis_name: AxisName | None,
  residuals: _Residuals,
  cotangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array, None, None]:
  """Goes around the ring once more; columns take their gradient along."""
  x, y, bias, rows, columns, total = residuals
  weight = cotangents[0][:, None]  # [n, 1]; `largest` has no gradient

  def see(
    carry: tuple[jax.Array, jax.Array], columns: _Columns
  ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    dx, dbias = carry
    logits = _logits_of_block(x, columns, bias, rows)
    # By the total of all blocks, so no block needs to know the others.
    slope = reduction.slope(logits, total[:, None])
    slope = slope * jnp.broadcast_to(weight, slope.shape)
    dx += jnp.matmul(slope, columns.y, precision='highest')
    dy = jnp.matmul(slope.T, x, precision='highest')
    return (dx, dbias + slope.sum()), dy

  def hop(
    carry: tuple[PyTree, ...], _: None
  ) -> tuple[tuple[PyTree, ...], None]:
    sums, columns, dy = carry
    sums, more = jax.lax.scan(see, sums, columns)
    # After as many rounds as devices, gradients are home with their rows.
    travelling = collectives.rotate((columns, dy + more), axis_name)
    return (sums, *travelling), None

  blocks = _split(y, columns, chunk)
  # Sums that start from x vary over devices as the results do.
  sums = (jnp.zeros_like(x), jnp.zeros_like(x[0, 0]))
  carry = (sums, blocks, jnp.zeros_like(blocks.y))
  ((dx, dbias), _, dy), _ = jax.lax.scan(
    hop, carry, length=collectives.axis_size(axis_name)
  )
  return dx, dy.reshape(-1, y.shape[1])[: len(y)], dbias, None, None


_in_blocks.defvjp(_in_blocks_fwd, _in_blocks_bwd)


def _logits_of_block(
  x: jax.Array, columns: _Columns, bias: jax.Array, rows: jax.Array
) -> jax.Array:
  logits = _logits(x, columns.y, bias, rows, columns.rows)
  return jnp.where(columns.rows[None] == _NO_ROW, _LEFT_OUT, logits)


def _split(y: jax.Array, rows: jax.Array, chunk: int) -> _Columns:
  """Cuts y [n, D] into k blocks of `chunk` rows, the last one padded."""
  chunk = min(chunk, len(y))
  blocks = -(-len(y) // chunk)
  padding = blocks * chunk - len(y)
  y = jnp.pad(y, ((0, padding), (0, 0)))
  rows = jnp.pad(rows, (0, padding), constant_values=_NO_ROW)
  return _Columns(y.reshape(blocks, chunk, -1), rows.reshape(blocks, chunk))
