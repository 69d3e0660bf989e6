"""Accelerators in numbers, as their makers state them.

TPUs: cloud.google.com/tpu/docs (system architecture of each version); GPUs:
NVIDIA's data sheets, SXM form, without sparsity.
"""

import dataclasses

from jaxssl.errors import UserError, unknown

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """One accelerator, as JAX sees it: one device.

  Attributes:
    memory: bytes of its own memory; of a GPU, those that a program can have.
    flops: peak rate in bfloat16, a second.
    bandwidth: bytes that it moves to and from this memory, a second.
    cores: number of cores of a TPU; two work as one device ("megacore").
    clock: cycles a second of a TPU, where the compiler's estimates in cycles
      are those of the whole device; None where that is not known.
  """

  memory: float
  flops: float
  bandwidth: float
  cores: int = 1
  clock: float | None = None


TPUS = {
  'v4': Chip(32 * GIB, 275e12, 1.2e12, cores=2),
  'v5e': Chip(16 * GIB, 197e12, 0.819e12, clock=1.5e9),
  'v5p': Chip(95 * GIB, 459e12, 2.765e12, cores=2, clock=1.75e9),
  'v6e': Chip(32 * GIB, 918e12, 1.64e12, clock=1.75e9),
  # Half of a chip of 192 GiB and 2307 TFLOP/s: each of its two cores is a
  # device with a memory of its own.
  'tpu7x': Chip(96 * GIB, 1153.5e12, 3.69e12),
}
GPUS = {
  'a100': Chip(79 * GIB, 312e12, 2.039e12),
  'h100': Chip(79 * GIB, 989e12, 3.35e12),
  'h200': Chip(139 * GIB, 989e12, 4.8e12),
  'b200': Chip(178 * GIB, 2250e12, 7.7e12),
}


def tpu_of(topology: str) -> Chip:
  """Returns the chip of a topology such as `'v5e:4x4'`.

  Raises:
    UserError: if it is not `VERSION:AxB` or `VERSION:AxBxC`, or the version is
      unknown.
  """
  version, _, shape = topology.partition(':')
  if not shape or not all(map(_is_side, shape.split('x'))):
    raise UserError(
      f'--topology {topology!r} is no slice; give VERSION:AxB, for example '
      'v5e:4x4, or VERSION:AxBxC, for example v4:2x2x4'
    )
  if version not in TPUS:
    raise unknown('TPU', version, TPUS)
  return TPUS[version]


def _is_side(text: str) -> bool:
  # Not `isdigit`, which takes superscripts for digits.
  return text.isdecimal() and int(text) > 0


def gpu(name: str) -> Chip:
  """Returns the chip of that name.

  Raises:
    UserError: if it is unknown.
  """
  if name not in GPUS:
    raise unknown('GPU', name, GPUS)
  return GPUS[name]
