"""Rows of a table, one for each id: the embedding of words."""

import functools

from flax.typing import Dtype
import jax
from jax import lax
import jax.numpy as jnp

from jaxssl.parallel import collectives

# Rows that are added up by one product. A product of all with all would be
# quadratic; the sums of blocks are added up alike, in blocks of their own.
_BLOCK = 128


def look_up(
  table: jax.Array,
  ids: jax.Array,
  dtype: Dtype = jnp.float32,
  axis_name: str | None = None,
) -> jax.Array:
  """Returns `table[ids]`; for an id outside of the table NaN.

  The derived gradient is a scatter, and many rows have the same id: on a GPU it
  adds atomically, in any order. There, rows are sorted by id instead, and those
  of an id added up in the order of the batch, on each device for itself.

  Args:
    table: float32 [V, D].
    ids: int [b, L].
    dtype: type that what is computed of the result is rounded to, and with it
      the gradient: in 16 bits it is sorted with half the bytes. The result and
      all sums are float32.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    [b, L, D].
  """
  return _look_up(table, ids, dtype, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _look_up(
  table: jax.Array, ids: jax.Array, dtype: Dtype, axis_name: str | None
) -> jax.Array:
  return _look_up_fwd(table, ids, dtype, axis_name)[0]


def _look_up_fwd(
  table: jax.Array, ids: jax.Array, dtype: Dtype, axis_name: str | None
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  # Of the table, only its length is needed, which no residual may hold by
  # itself.
  del dtype, axis_name
  out = jnp.take(table, ids, axis=0, mode='fill')
  return out, (ids, jnp.zeros((len(table), 0)))


def _look_up_bwd(
  dtype: Dtype,
  axis_name: str | None,
  residuals: tuple[jax.Array, jax.Array],
  gradient: jax.Array,
) -> tuple[jax.Array, None]:
  ids, rows = residuals
  size = len(rows)
  found = lax.platform_dependent(
    ids,
    gradient,
    cuda=functools.partial(
      _sorted_sums, size=size, dtype=dtype, axis_name=axis_name
    ),
    default=functools.partial(_scattered, size=size),
  )
  return found, None


_look_up.defvjp(_look_up_fwd, _look_up_bwd)


def _scattered(ids: jax.Array, gradient: jax.Array, *, size: int) -> jax.Array:
  table = jax.ShapeDtypeStruct((size, gradient.shape[-1]), gradient.dtype)
  take = functools.partial(jnp.take, indices=ids, axis=0, mode='fill')
  return jax.linear_transpose(take, table)(gradient)[0]


def _sorted_sums(
  ids: jax.Array,
  gradient: jax.Array,
  *,
  size: int,
  dtype: Dtype,
  axis_name: str | None,
) -> jax.Array:
  def of_device(
    ids: jax.Array, gradient: jax.Array, axis_name: object
  ) -> jax.Array:
    del axis_name
    rows = gradient.reshape(-1, gradient.shape[-1]).astype(dtype)
    return sums_by_id(ids.reshape(-1), rows, size)[None]

  if not collectives.spreads_evenly(len(ids), axis_name):
    return of_device(ids, gradient, axis_name)[0]
  # In the global view a sort would gather the rows of all devices.
  apart = collectives.device_view(of_device, axis_name)
  return apart(ids, gradient).sum(0)


def sums_by_id(ids: jax.Array, rows: jax.Array, size: int) -> jax.Array:
  """Returns `out[v]`, the sum of the rows whose id is v, without a scatter.

  Sums are float32 whatever the type of the rows, and none is the difference of
  two others: as exact as adding the rows up one by one.

  Args:
    ids: int [n]; ids that are not below `size` count nowhere.
    rows: [n, D].
    size: V.

  Returns:
    float32 [V, D].
  """
  missing = -len(ids) % _BLOCK
  ids = jnp.pad(ids, (0, missing), constant_values=size)
  order = jnp.argsort(ids)
  ids = ids[order]
  # What was appended comes last, and has no row.
  real = (order < len(rows))[:, None]
  rows = jnp.where(real, rows[jnp.minimum(order, len(rows) - 1)], 0)
  sums, before = _running_sums(ids, rows)
  places = jnp.arange(size)
  # Of each id the last row, whose running sum is the whole; a few steps of a
  # search, unrolled to one kernel.
  last = jnp.searchsorted(ids, places, side='right', method='scan_unrolled') - 1
  last = jnp.maximum(last, 0)
  total = sums[last]
  block = last // _BLOCK
  # An id that reaches back into the blocks before.
  is_first = ids[block * _BLOCK] == places
  total = total + jnp.where(is_first[:, None], before[block], 0.0)
  return jnp.where((ids[last] == places)[:, None], total, 0.0)


def _running_sums(
  ids: jax.Array, rows: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Adds up rows of one id, within blocks.

  Args:
    ids: int [n], sorted; a block divides n.
    rows: [n, D].

  Returns:
    For each row the sum of those of its id in its block up to it, float32
    [n, D]; and for each block the sum of all rows in the blocks before that
    have the id of its first, float32 [n / block, D].
  """
  blocks = ids.reshape(-1, _BLOCK)
  same = blocks[:, :, None] == blocks[:, None, :]
  taken = jnp.tril(same).astype(rows.dtype)
  sums = jnp.einsum(
    'kij,kjd->kid',
    taken,
    rows.reshape(-1, _BLOCK, rows.shape[-1]),
    precision='highest',
    preferred_element_type=jnp.float32,
  )
  before = _before(blocks[:, 0], blocks[:, -1], sums[:, -1])
  return sums.reshape(rows.shape), before


def _before(first: jax.Array, last: jax.Array, tails: jax.Array) -> jax.Array:
  """Returns what came before each block; see `_running_sums`.

  Args:
    first: int [k], the first id of each block.
    last: int [k], its last id.
    tails: float32 [k, D], the sum of what it has of that.
  """
  count = len(last)
  if count <= _BLOCK:
    earlier = jnp.arange(count)[None] < jnp.arange(count)[:, None]
    taken = earlier & (first[:, None] == last[None])
    return jnp.matmul(taken.astype(jnp.float32), tails, precision='highest')
  # Repeated at the end, which comes before nothing.
  missing = -count % _BLOCK
  ids = jnp.pad(last, (0, missing), mode='edge')
  sums, before = _running_sums(ids, jnp.pad(tails, ((0, missing), (0, 0))))
  whole = jnp.repeat(before, _BLOCK, axis=0)
  starts = jnp.repeat(ids[::_BLOCK], _BLOCK)
  # Now of all blocks up to each.
  whole = sums + jnp.where((starts == ids)[:, None], whole, 0.0)
  carried = jnp.concatenate([jnp.zeros_like(whole[:1]), whole[: count - 1]])
  same = jnp.concatenate([jnp.zeros(1, bool), last[:-1] == first[1:]])
  return jnp.where(same[:, None], carried, 0.0)
