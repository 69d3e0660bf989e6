"""The least time that a compiled step needs on a chip.

The roofline model (Williams, Waterman and Patterson, 2009): a kernel takes at
least the time to move its bytes at the full rate of the memory, and at least
the time to compute its products at the peak rate. No kernel reaches both, and
caches, launches and the network between chips are left out, so that real steps
are slower; only where a cache keeps what the next kernel reads, a kernel can be
faster than its bound.

The compiler for TPUs chooses among programs by an estimate of its own, which
knows layouts, padding and the vector unit. It stands beside the bound: cycles
of the kernels that the cores run, without collectives, calls of libraries, and
copies in the background.
"""

from collections.abc import Sequence
import dataclasses
import re

from jaxssl.planning.chips import Chip
from jaxssl.planning.kernels import Kernel

_LAYER = re.compile(r'_\d+(?=[/_])')


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Sums over the kernels of a step on one chip.

  Attributes:
    num_kernels: how many run.
    bytes: that they move.
    flops: operations of their products.
    seconds: the larger of both times of each kernel, added up.
    estimated_seconds: the compiler's estimate; None where there is none.
    heaviest: kernels and their seconds, most first, by the estimate if there is
      one; those that do the same in several layers are one, with `*` for the
      number of the layer.
  """

  num_kernels: int
  bytes: float
  flops: float
  seconds: float
  estimated_seconds: float | None
  heaviest: tuple[tuple[Kernel, float], ...]


def roofline(
  kernels: Sequence[Kernel], chip: Chip, *, count: int = 10
) -> Roofline:
  """Returns the bound of a step.

  Args:
    kernels: kernels of the step.
    chip: that they run on.
    count: how many of the heaviest to name.
  """
  merged = _merged(kernels)
  timed = [(each, _seconds(each, chip)) for each in merged]
  estimated = sum(estimated_seconds(each, chip) for each in merged)
  if estimated:
    timed.sort(key=lambda pair: -estimated_seconds(pair[0], chip))
  else:
    timed.sort(key=lambda pair: -pair[1])
  return Roofline(
    num_kernels=sum(each.times for each in kernels),
    bytes=sum(each.times * each.bytes for each in kernels),
    flops=sum(each.times * each.flops for each in kernels),
    seconds=sum(seconds for _, seconds in timed),
    estimated_seconds=estimated or None,
    heaviest=tuple(timed[:count]),
  )


def estimated_seconds(kernel: Kernel, chip: Chip) -> float:
  """Returns the compiler's estimate of a kernel, 0 where there is none."""
  if kernel.cycles is None or chip.clock is None:
    return 0.0
  return kernel.times * kernel.cycles / chip.clock


def _merged(kernels: Sequence[Kernel]) -> list[Kernel]:
  found: dict[tuple[object, ...], Kernel] = {}
  for each in kernels:
    place = _LAYER.sub('_*', each.place)
    key = (each.kind, place, each.bytes, each.flops, each.cycles)
    times = each.times + (found[key].times if key in found else 0)
    found[key] = dataclasses.replace(each, place=place, times=times)
  return list(found.values())


def _seconds(kernel: Kernel, chip: Chip) -> float:
  once = max(kernel.bytes / chip.bandwidth, kernel.flops / chip.flops)
  return kernel.times * once
