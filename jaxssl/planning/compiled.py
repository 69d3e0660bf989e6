"""Compiles a training step for chips that are not there.

What comes out is what they would run, and its memory; how fast it would run is
not known from it.
"""

import dataclasses
import re
import time
from typing import Any

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxssl.config.recomputation import recomputes
from jaxssl.errors import UserError
from jaxssl.methods.base import PyTree
from jaxssl.parallel import modes, rules
from jaxssl.planning import kernels, traffic
from jaxssl.planning.abstract import Plan
from jaxssl.planning.kernels import Kernel
from jaxssl.planning.target import Target

_SIZE = r'([0-9.]+)([KMGT]?)'
# The compiler has two ways to say it.
_TOO_MUCH = re.compile(
  rf'(?:Used |temporaries \(){_SIZE}'
  rf'(?: of |\) exceeds available HBM \(){_SIZE}'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
  """What the compiler says of one chip.

  Attributes:
    num_chips: chips that were compiled for.
    seconds: that tracing and compiling took.
    memory: bytes by kind; empty where compilation failed for want of it.
    needed: bytes in all.
    limit: bytes that the program may use; None where only the compiler knows.
    fits: whether the program does with them.
    flops: operations of the compiled program, recomputation included, by the
      compiler's count; None where it has none.
    bytes_accessed: that it moves, likewise.
    kernels: kernels of the program; see `kernels.kernels`.
    collectives: bytes that each kind of collective brings to a chip in a step;
      see `traffic.collective_bytes`.
  """

  num_chips: int
  seconds: float
  memory: dict[str, float]
  needed: float
  fits: bool
  limit: float | None = None
  flops: float | None = None
  bytes_accessed: float | None = None
  kernels: tuple[Kernel, ...] = ()
  collectives: dict[str, float] = dataclasses.field(default_factory=dict)


def compile_step(plan: Plan, target: Target) -> Report:
  """Compiles the step, rows and state placed as the compile mode would.

  Args:
    plan: what to compile; its compile mode counts.
    target: what to compile for.

  Raises:
    UserError: if the batch cannot be spread evenly, or the state not shared.
  """
  start = time.perf_counter()
  lowered = lower_step(plan, target)
  try:
    compiled = lowered.compile(compiler_options=target.options)
  except jax.errors.JaxRuntimeError as error:
    found = _TOO_MUCH.search(str(error))
    if not found:
      raise
    return Report(
      num_chips=target.num_chips,
      seconds=time.perf_counter() - start,
      memory={},
      needed=_in_bytes(*found.group(1, 2)),
      limit=_in_bytes(*found.group(3, 4)),
      fits=False,
    )
  memory = _memory(compiled.memory_analysis())
  text = compiled.as_text() or ''  # None of a backend that shows no program
  needed, costs = sum(memory.values()), compiled.cost_analysis() or {}
  return Report(
    num_chips=target.num_chips,
    seconds=time.perf_counter() - start,
    memory=memory,
    needed=needed,
    limit=target.limit,
    fits=target.limit is None or needed <= target.limit,
    flops=costs.get('flops'),
    bytes_accessed=costs.get('bytes accessed'),
    kernels=tuple(kernels.kernels(text)),
    collectives=traffic.collective_bytes(text),
  )


def lower_step(plan: Plan, target: Target) -> jax.stages.Lowered:
  """Returns the step as the compiler gets it; see `compile_step`.

  Args:
    plan: the step and its shapes.
    target: the chips.

  Raises:
    UserError: if the batch does not divide over the chips.
  """
  rows = plan.run.train.batch_size
  if rows % target.num_chips:
    raise UserError(
      f'a batch of {rows} cannot be spread over {target.num_chips} chips'
    )
  parts = plan.run.train.micro_batches
  if rows % (parts * target.num_chips):
    raise UserError(
      f'batch of {rows} does not divide into {parts} micro-batches on '
      f'{target.num_chips} chips'
    )
  mode = modes.Jit(
    modes.make_mesh(list(target.devices), fsdp=plan.fsdp),
    deterministic=plan.run.train.deterministic,
    recomputes=recomputes(plan.run.config),
  )
  state = mode.target(plan.state)
  batch = _placed(plan.batch, NamedSharding(mode.mesh, modes.ROWS))
  return _jitted(plan, mode).lower(state, batch)


def state_bytes(plan: Plan, num_chips: int) -> int:
  """Returns the bytes of the state that each of so many chips holds.

  Raises:
    UserError: if they cannot share it as the plan says.
  """
  shared = plan.fsdp or num_chips
  if num_chips % shared:
    raise UserError(
      f'train.fsdp is {shared}, which does not divide {num_chips} chips'
    )
  specs = rules.partition_specs(plan.state, axis=modes.FSDP, size=shared)
  return sum(
    leaf.size * leaf.dtype.itemsize // (shared if modes.FSDP in spec else 1)
    for leaf, spec in zip(
      jax.tree.leaves(plan.state), jax.tree.leaves(specs), strict=True
    )
  )


def _jitted(plan: Plan, mode: modes.Jit) -> Any:
  if plan.run.train.mode == 'jit':
    return mode.compile(plan.step)

  def device_view(state: PyTree, batch: PyTree) -> tuple[PyTree, PyTree]:
    return plan.step(state, batch, axis_name=modes.AXIS)

  # What `pmap` compiles; it has no devices that are not there.
  spread = jax.shard_map(
    device_view,
    mesh=mode.mesh,
    in_specs=(P(), P(modes.AXIS)),
    out_specs=P(),
    check_vma=False,
  )
  return jax.jit(spread, donate_argnums=0)


def _placed(tree: Any, sharding: NamedSharding) -> Any:
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def _memory(found: Any) -> dict[str, float]:
  kept = found.alias_size_in_bytes
  return {
    'state and batch': float(found.argument_size_in_bytes),
    'results beside them': float(found.output_size_in_bytes - kept),
    'temporary': float(found.temp_size_in_bytes),
    'program': float(found.generated_code_size_in_bytes),
  }


def _in_bytes(number: str, unit: str) -> float:
  return float(number) * 1024.0 ** ' KMGT'.index(unit or ' ')
