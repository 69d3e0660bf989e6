"""NVIDIA GPUs that are not there, for XLA's compiler.

The compiler is part of JAX's CUDA plugin (`pip install "jaxssl[cuda]"`). It
needs no GPU and no driver, only a description of the card.
"""

import dataclasses
from importlib.util import find_spec
import math

from jax.experimental import topologies

from jaxssl.errors import UserError
from jaxssl.models import attention
from jaxssl.planning.chips import GPUS, gpu
from jaxssl.planning.target import Target

# Share of a card's memory that JAX takes, unless XLA_PYTHON_CLIENT_MEM_FRACTION
# says otherwise.
RESERVED = 0.75

# Both would time kernels on the card, which is not there: cuBLAS's instead of
# Triton's, and the first algorithm of each.
OPTIONS = {'xla_gpu_autotune_level': 0, 'xla_gpu_enable_triton_gemm': False}

_A_HOST = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
  """What XLA's passes ask of a card, in NVIDIA's numbers.

  Attributes:
    name: as the driver tells it.
    capability: "compute capability", major version.
    cores: streaming multiprocessors.
    lanes: float32 units of each.
    shared: bytes of shared memory of each.
    shared_of_block: how much of it one block of threads may take.
    cache: bytes of the L2 cache.
    clock: GHz.
  """

  name: str
  capability: int
  cores: int
  lanes: int = 128
  shared: int = 233_472
  shared_of_block: int = 232_448
  cache: int
  clock: float


_H100 = Card(
  name='NVIDIA H100 80GB HBM3',
  capability=9,
  cores=132,
  cache=52_428_800,
  clock=1.98,
)
CARDS = {
  'a100': Card(
    name='NVIDIA A100-SXM4-80GB',
    capability=8,
    cores=108,
    lanes=64,
    shared=167_936,
    shared_of_block=166_912,
    cache=41_943_040,
    clock=1.41,
  ),
  'h100': _H100,
  'h200': dataclasses.replace(_H100, name='NVIDIA H200'),
  'b200': Card(
    name='NVIDIA B200',
    capability=10,
    cores=148,
    cache=132_644_864,
    clock=1.965,
  ),
}


def cards(name: str, count: int) -> Target:
  """Returns so many cards, eight a host.

  Args:
    name: a key of `CARDS`.
    count: number of cards.

  Raises:
    UserError: for an unknown card, for hosts that are not full, or without the
      compiler.
  """
  chip, hosts = gpu(name), math.ceil(count / _A_HOST)
  if count > _A_HOST and count % _A_HOST:
    raise UserError(f'{count} GPUs do not fill hosts of {_A_HOST} each')
  if not has_compiler():
    raise UserError(
      f'no compiler for {name}; it comes with pip install "jaxssl[cuda]", '
      'which needs no GPU'
    )
  found = topologies.get_topology_desc(
    platform='cuda',
    target_config=description(name),
    topology=f'1x{hosts}x{count // hosts}',
  )
  return Target(
    name=f'{count} x {name}',
    devices=tuple(found.devices),
    limit=RESERVED * chip.memory,
    options=OPTIONS,
  )


def has_compiler() -> bool:
  """Returns whether the plugin is installed, and cuDNN, whose version it asks.

  For CUDA 12 or 13; the compiler is the same.
  """
  plugins = (find_spec(f'jax_cuda{version}_plugin') for version in (12, 13))
  return any(plugins) and attention.has_cudnn()


def description(name: str) -> str:
  """Returns XLA's description of a card, a `GpuTargetConfigProto` as text."""
  card, chip = CARDS[name], GPUS[name]
  return f"""
    gpu_device_info {{
      cuda_compute_capability {{ major: {card.capability} }}
      core_count: {card.cores}
      fpus_per_core: {card.lanes}
      clock_rate_ghz: {card.clock}
      l2_cache_size: {card.cache}
      memory_bandwidth: {chip.bandwidth:.0f}
      device_memory_size: {chip.memory:.0f}
      shared_memory_per_core: {card.shared}
      shared_memory_per_block: 49152
      shared_memory_per_block_optin: {card.shared_of_block}
      registers_per_core_limit: 65536
      registers_per_block_limit: 65536
      threads_per_warp: 32
      threads_per_block_limit: 1024
      threads_per_core_limit: 2048
      block_dim_limit_x: 2147483647
      block_dim_limit_y: 65535
      block_dim_limit_z: 65535
    }}
    platform_name: "CUDA"
    runtime_version {{ major: 13 }}
    dnn_version_info {{ major: 9 minor: 12 }}
    device_description_str: "{card.name}"
  """
