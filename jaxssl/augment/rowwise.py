"""A batching rule for per-image functions: on a CPU, one row at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.experimental import custom_partitioning
import jax.numpy as jnp

PyTree = Any


def rowwise(fn: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
  """Makes `vmap` of `fn` a loop over rows where the backend is a CPU.

  `vmap` turns `lax.cond` and `lax.switch` into "compute every branch, select",
  and a matrix product a row into one batched product. On an accelerator that is
  what one wants. On a CPU the loop runs only the branch that was drawn, calls
  the fast matrix product and keeps a row in the cache; see
  benchmarks/results/augment.md. The numbers agree to rounding.

  Args:
    fn: pure function of arrays (not keys) that returns one array. It must not
      close over arrays; pass them.

  Returns:
    A function like `fn` that may be vmapped once, under `jit` with sharded
    rows and under `pmap` too: each device loops over its own rows.
  """
  vectorized = jax.vmap(fn)

  def loop(*rows: PyTree) -> PyTree:
    # A loop keeps `cond` a branch: only one side of it runs.
    return jax.lax.map(lambda row: fn(*row), rows)

  @jax.custom_batching.custom_vmap
  def call(*args: PyTree) -> PyTree:
    return fn(*args)

  @call.def_vmap
  def _batch(
    axis_size: int, in_batched: Sequence[bool], *args: PyTree
  ) -> tuple[PyTree, bool]:
    rows = tuple(
      # What all rows share becomes a row of each: the loop knows rows only.
      a if b else jnp.broadcast_to(a, (axis_size, *jnp.shape(a)))
      for a, b in zip(args, in_batched, strict=True)
    )
    batched = jax.lax.platform_dependent(
      *rows, cpu=_row_parallel(loop, rows), default=vectorized
    )
    return batched, True

  return call


def _row_parallel(
  loop: Callable[..., PyTree], rows: tuple[PyTree, ...]
) -> Callable[..., PyTree]:
  """Tells the partitioner that every row of `loop` stands alone.

  It would otherwise gather all rows on every device to run the loop.
  """
  parallel = custom_partitioning.custom_partitioning(loop)

  def partition(
    mesh: Any, arg_shapes: Sequence[Any], result_shape: Any
  ) -> tuple[Any, ...]:
    shardings = tuple(a.sharding for a in arg_shapes)
    return mesh, loop, result_shape.sharding, shardings

  ranks = [a.ndim for a in rows] + [jax.eval_shape(loop, *rows).ndim]
  factors = [
    [f'x{i}_{axis}' for axis in range(1, rank)] for i, rank in enumerate(ranks)
  ]
  names = [' '.join(['row', *others]) for others in factors]
  parallel.def_partition(
    partition=partition,
    sharding_rule=', '.join(names[:-1]) + ' -> ' + names[-1],
    # Only rows may be cut over devices.
    need_replication_factors=tuple(
      name for others in factors for name in others
    ),
  )
  return parallel
