"""Cross-device reductions that do nothing in the global view.

`axis_name` is the only trace of the compile mode inside numeric code. A string
means that the caller is mapped over devices (`jax.pmap`) and holds `b` of the
`B` rows of the global batch. `None` means that the caller already sees all `B`
rows (`jax.jit` over sharded arrays) and XLA inserts the communication.

This is the only file of the package that names `jax.lax` collectives.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

PyTree = Any
# A mapped axis, or several that count as one, the first varying slowest.
AxisName = str | tuple[str, ...]


def pmean(tree: PyTree, axis_name: str | None) -> PyTree:
  """Averages every leaf over the devices of the axis."""
  return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def psum(tree: PyTree, axis_name: str | None) -> PyTree:
  """Sums every leaf over the devices of the axis."""
  return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def pmax(tree: PyTree, axis_name: str | None) -> PyTree:
  """Returns the largest of each value over the devices; has no gradient."""
  return tree if axis_name is None else jax.lax.pmax(tree, axis_name)


def axis_size(axis_name: AxisName | None) -> int:
  """Returns the number of devices of the axis, 1 in the global view.

  A static number, not communication.
  """
  return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def device_view(
  fn: Callable[..., PyTree], axis_name: AxisName | None
) -> Callable[..., PyTree]:
  """Lets a function of rows see one device's rows at a time, in any mode.

  Communication that follows the devices, such as a ring, cannot be written in
  the global view. In the device view this is `fn` itself. In the global view of
  a step that is compiled for a mesh of devices (`modes.Jit.compile`), it is
  `fn` under `jax.shard_map` over all axes of the mesh. Without a mesh, or with
  one device, `fn` sees all rows and no axis.

  Args:
    fn: `fn(*arrays, axis_name=)` -> arrays with the rows at hand. It must do
      the same on every device but for the rows.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    A function of the same arrays without `axis_name`. Scalars are equal on all
    devices; of other arrays, the first side is rows and divides by the number
    of devices. It can be differentiated.
  """
  if axis_name is not None:
    return functools.partial(fn, axis_name=axis_name)
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1:
    return functools.partial(fn, axis_name=None)
  axes = mesh.axis_names

  def mapped(*arrays: jax.Array) -> PyTree:
    return jax.shard_map(
      functools.partial(fn, axis_name=axes),
      in_specs=tuple(P(axes) if x.ndim else P() for x in arrays),
      out_specs=P(axes),
      # What varies over devices is not tracked: loops that start from constants
      # would have to be told.
      check_vma=False,
    )(*arrays)

  return mapped


def spreads_evenly(num_rows: int, axis_name: AxisName | None) -> bool:
  """Returns whether `device_view` can take so many rows at hand.

  Parts of a batch may have fewer rows than there are devices. What is mapped
  over devices already, and was not told the axis, sees those of one.

  Args:
    num_rows: rows at hand.
    axis_name: mapped device axis, or None in the global view.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if axis_name is not None or mesh.empty:
    return True
  return not mesh.manual_axes and num_rows % mesh.size == 0


def gather(x: jax.Array, axis_name: str | None) -> jax.Array:
  """Concatenates the rows of all devices, [b, ...] -> [B, ...].

  Gradients flow to the device that owns a row, summed over all devices that
  used it, so a loss over gathered rows has the gradient of the global loss
  after the train step has averaged over devices.
  """
  return x if axis_name is None else _all_gather(x, axis_name)


# The transpose that JAX derives is a reduce-scatter. On CPU processes joined
# by gloo (jaxlib 0.10) one reduce-scatter slows every later all-reduce down by
# two orders of magnitude; a sum of which each device keeps its rows does not.
@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _all_gather(x: jax.Array, axis_name: str) -> jax.Array:
  return jax.lax.all_gather(x, axis_name, tiled=True)


def _all_gather_fwd(x: jax.Array, axis_name: str) -> tuple[jax.Array, int]:
  return _all_gather(x, axis_name), len(x)


def _all_gather_bwd(
  axis_name: str, rows: int, cotangent: jax.Array
) -> tuple[jax.Array]:
  total = jax.lax.psum(cotangent, axis_name)
  first = jax.lax.axis_index(axis_name) * rows
  return (jax.lax.dynamic_slice_in_dim(total, first, rows),)


_all_gather.defvjp(_all_gather_fwd, _all_gather_bwd)


def rotate(tree: PyTree, axis_name: AxisName | None) -> PyTree:
  """Passes every leaf to the next device of the ring, itself in global view.

  After as many calls as the axis has devices, all are home again.
  """
  if axis_name is None:
    return tree
  size = axis_size(axis_name)
  ring = [(i, (i + 1) % size) for i in range(size)]
  return jax.lax.ppermute(tree, axis_name, ring)


def permute(x: jax.Array, order: jax.Array, axis_name: str | None) -> jax.Array:
  """Reorders the rows of the global batch; no gradient is needed by callers.

  Args:
    x: rows at hand [b, ...].
    order: int32 [B], equal on all devices: global row r becomes row order[r].
    axis_name: mapped device axis, or None in the global view.

  Returns:
    The new rows at hand [b, ...].
  """
  return gather(x, axis_name)[order[row_ids(len(x), axis_name)]]


def row_ids(num_rows: int, axis_name: str | None) -> jax.Array:
  """Returns the positions in the global batch of the rows at hand, int32 [b].

  Args:
    num_rows: b, rows at hand.
    axis_name: mapped device axis, or None in the global view.
  """
  rows = jnp.arange(num_rows)
  if axis_name is None:
    return rows
  return jax.lax.axis_index(axis_name) * num_rows + rows


def row_keys(key: jax.Array, num_rows: int, axis_name: str | None) -> jax.Array:
  """Returns one PRNG key per row, the same for any mode and device count.

  Args:
    key: typed PRNG key of this step and purpose, equal on all devices.
    num_rows: b, rows at hand.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    Typed PRNG keys [b]; row r of the *global* batch gets `fold_in(key, r)`.
  """
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  return fold(key, row_ids(num_rows, axis_name))
