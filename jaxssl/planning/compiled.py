"""Compiles a training step for TPUs that are not there.

libtpu (`pip install "jaxssl[tpu]"`) holds the compiler; it needs no TPU. What
comes out is what a TPU would run, and its memory; how fast it would run is not
known from it.
"""

import dataclasses
import importlib.util
import os
import re
import time
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxssl.errors import UserError
from jaxssl.parallel import modes, rules
from jaxssl.planning import chips, traffic
from jaxssl.planning.abstract import Plan

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
    num_chips: chips of the slice.
    seconds: that tracing and compiling took.
    memory: bytes by kind; empty where it does not fit.
    needed: bytes in all.
    limit: bytes that the compiler may use; None where it fits.
    flops: operations of the compiled program, recomputation included.
    collectives: bytes that each kind of collective brings to a chip in a step;
      see `traffic.collective_bytes`.
  """

  num_chips: int
  seconds: float
  memory: dict[str, float]
  needed: float
  limit: float | None = None
  flops: float | None = None
  collectives: dict[str, float] = dataclasses.field(default_factory=dict)

  @property
  def fits(self) -> bool:
    """Whether the step fits into the memory of a chip."""
    return self.limit is None


def devices_of(topology: str) -> list[Any]:
  """Returns compile-only devices of a slice such as `'v5e:4x4'`.

  Raises:
    UserError: if libtpu is not installed, or if it knows no such slice.
  """
  options: dict[str, Any] = {'chips_per_host_bounds': _host_bounds(topology)}
  if chips.tpu_of(topology).cores == 2:
    # A TPU that is there does so by itself; here v4 would be a device a core.
    options['chip_config_name'] = 'megacore'
  # Else it looks for the metadata of a machine that has TPUs, for minutes.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  # Nor does it need a chip, of which else one process at a time is allowed.
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=topology, **options
    )
  except Exception as error:  # of many types
    raise UserError(f'{topology}: {_why_not(error)}') from error
  return list(found.devices)


def _host_bounds(topology: str) -> list[int]:
  """Returns the chips of a host along each side of the slice.

  Left to itself, the compiler of some releases takes 2 x 2 chips for a host of
  any slice, and refuses those that have only one chip along a side.
  """
  sides = [int(side) for side in topology.partition(':')[2].split('x')]
  return [min(side, 2) for side in sides[:2]] + [1]


def _why_not(error: Exception) -> str:
  if importlib.util.find_spec('libtpu') is None:
    return 'there is no compiler for TPUs; pip install "jaxssl[tpu]"'
  first = str(error).splitlines()[0]
  return f'libtpu refuses it ({first}); give a slice that exists'


def compile_step(plan: Plan, devices: list[Any]) -> Report:
  """Compiles the step, rows and state placed as the compile mode would.

  Args:
    plan: what to compile; its compile mode counts.
    devices: of `devices_of`.

  Raises:
    UserError: if the batch cannot be spread evenly, or the state not shared.
  """
  rows = plan.run.train.batch_size
  if rows % len(devices):
    raise UserError(
      f'a batch of {rows} cannot be spread over {len(devices)} chips'
    )
  mode = modes.Jit(modes.make_mesh(devices, fsdp=plan.fsdp))
  state = mode.target(plan.state)
  batch = _placed(plan.batch, NamedSharding(mode.mesh, modes.ROWS))
  start = time.perf_counter()
  lowered = _jitted(plan, mode).lower(state, batch)
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    found = _TOO_MUCH.search(str(error))
    if not found:
      raise
    return Report(
      num_chips=len(devices),
      seconds=time.perf_counter() - start,
      memory={},
      needed=_in_bytes(*found.group(1, 2)),
      limit=_in_bytes(*found.group(3, 4)),
    )
  memory = _memory(compiled.memory_analysis())
  return Report(
    num_chips=len(devices),
    seconds=time.perf_counter() - start,
    memory=memory,
    needed=sum(memory.values()),
    flops=compiled.cost_analysis().get('flops'),
    collectives=traffic.collective_bytes(compiled.as_text()),
  )


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

  def device_view(state, batch):
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
