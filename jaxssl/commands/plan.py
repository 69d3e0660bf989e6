"""`jaxssl plan`: what a config needs of a TPU slice or a GPU."""

import argparse
from collections.abc import Callable, Sequence
import functools
import json
import pathlib
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxssl import atomic_file
from jaxssl import config as config_lib
from jaxssl.arguments import configs, targets
from jaxssl.config.recomputation import without_recomputation
from jaxssl.errors import UserError
from jaxssl.planning import (
  abstract,
  chips,
  compiled,
  cuda,
  flops,
  roofline,
  tpu,
)
from jaxssl.planning.kernels import Kernel
from jaxssl.planning.target import Target

# Nothing runs on an accelerator; one that is there stays free, and JAX does not
# look for the driver of one that is not.
PLATFORMS = 'cpu'
IMAGENET = 1_281_167
_GIB = 2.0**30
_HEAVIEST = 'heaviest kernels'


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  configs.add_arguments(
    parser,
    examples=(
      'jaxssl plan --config simclr_resnet50_imagenet --topology v5e:4x4',
      'jaxssl plan --method dino --encoder vit_s16 --data FOLDER --gpu h100',
    ),
  )
  parser.add_argument(
    '--topology', help='compile for this TPU slice, for example v5e:4x4'
  )
  parser.add_argument(
    '--gpu', help=f'compile for these: one of {", ".join(chips.GPUS)}'
  )
  parser.add_argument(
    '--num_gpus', type=int, default=1, help='how many of them; default: 1'
  )
  parser.add_argument(
    '--utilisation',
    type=float,
    default=0.4,
    help='share of the peak rate that one line assumes; default: 0.4',
  )
  parser.add_argument(
    '--largest_batch',
    action='store_true',
    help='look for the largest batch that fits, by powers of two',
  )
  parser.add_argument(
    '--num_examples',
    type=int,
    default=IMAGENET,
    help='images of the data, which is not read; default: ImageNet',
  )
  parser.add_argument('--out', help='JSON file for the figures')


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table; writes the figures to a file if asked."""
  out = arguments.out and pathlib.Path(arguments.out)
  if out:
    targets.check_file(out, suffix='.json')
  _check(arguments)
  config = configs.resolve(arguments, overrides, look=False)
  found = _found(arguments, config)
  _print(found)
  if out:
    atomic_file.write_text(out, json.dumps(found, indent=2) + '\n')
  return 0


def _check(arguments: argparse.Namespace) -> None:
  if bool(arguments.topology) == bool(arguments.gpu):
    raise UserError('give either --topology VERSION:AxB or --gpu NAME')
  if not 0 < arguments.utilisation <= 1:
    raise UserError(
      f'--utilisation is {arguments.utilisation}; it is a share of 1'
    )
  for flag in ('num_gpus', 'num_examples'):
    if getattr(arguments, flag) < 1:
      raise UserError(f'--{flag} must be at least 1')


def _found(
  arguments: argparse.Namespace, config: config_lib.Config
) -> dict[str, Any]:
  """Returns the figures, by name, in the units that the names state."""

  def plan(batch_size: int | None = None) -> abstract.Plan:
    return abstract.plan(
      config, batch_size=batch_size, num_examples=arguments.num_examples
    )

  chip, target = _on(arguments)
  planned, count = plan(), target.num_chips

  @functools.cache
  def report(rows: int) -> compiled.Report:
    return compiled.compile_step(plan(rows), target)

  start = planned.run.train.batch_size
  measured = _of_report(report(start), chip)
  if arguments.largest_batch:
    measured['largest batch'] = largest(
      lambda rows: _fits(report, rows), start=start, smallest=count
    )
  rows = planned.run.train.batch_size
  platform = 'cuda' if arguments.gpu else 'tpu'
  per_step = _model_flops(config, planned, arguments.num_examples, platform)
  per_image = per_step / rows
  rate = arguments.utilisation * chip.flops * count / per_image
  return {
    'on': target.name,
    'batch': rows,
    'memory of a chip, GiB': chip.memory / _GIB,
    'chips that share a state': planned.fsdp or count,
    'parameters, optimizer and method, GiB': _bytes(planned.state) / _GIB,
    'of which on a chip, GiB': compiled.state_bytes(planned, count) / _GIB,
    **measured,
    **_bound(report(start).kernels, chip, rows),
    'model GFLOP an image, forward and backward': per_image / 1e9,
    f'images/s if {arguments.utilisation:.0%} of the peak were reached': rate,
  }


def _fits(report: Callable[[int], compiled.Report], rows: int) -> bool:
  """Whether a batch fits; one that the method refuses does not."""
  try:
    return report(rows).fits
  except UserError:
    return False


def _on(arguments: argparse.Namespace) -> tuple[chips.Chip, Target]:
  if arguments.gpu:
    target = cuda.cards(arguments.gpu, arguments.num_gpus)
    return chips.gpu(arguments.gpu), target
  return chips.tpu_of(arguments.topology), tpu.slice_of(arguments.topology)


def _bound(
  kernels: Sequence[Kernel], chip: chips.Chip, rows: int
) -> dict[str, Any]:
  """Returns the roofline of a step; nothing where it was not compiled."""
  if not kernels:
    return {}
  found = roofline.roofline(kernels, chip)
  return {
    'kernels': found.num_kernels,
    'moved by them, GiB': found.bytes / _GIB,
    'products and convolutions of a chip, GFLOP': found.flops / 1e9,
    'roofline, ms': found.seconds * 1e3,
    'images/s at the roofline': rows / found.seconds,
    **_estimated(found.estimated_seconds, rows),
    _HEAVIEST: [
      {
        'ms': seconds * 1e3,
        **_estimated_of(kernel, chip),
        'times': kernel.times,
        'MiB': kernel.bytes / 2**20,
        'GFLOP': kernel.flops / 1e9,
        'kind': kernel.kind,
        'place': kernel.place,
      }
      for kernel, seconds in found.heaviest
    ],
  }


def _estimated(seconds: float | None, rows: int) -> dict[str, Any]:
  """Returns what the compiler expects, if it says so."""
  if seconds is None:
    return {}
  return {
    "the compiler's estimate, ms": seconds * 1e3,
    'images/s by that estimate': rows / seconds,
  }


def _estimated_of(kernel: Kernel, chip: chips.Chip) -> dict[str, Any]:
  if chip.clock is None:
    return {}
  return {'estimated ms': roofline.estimated_seconds(kernel, chip) * 1e3}


def _of_report(report: compiled.Report, chip: chips.Chip) -> dict[str, Any]:
  limit = report.limit or chip.memory
  left = limit - report.needed
  if report.fits:
    # The compiler knows which bytes are not there at once; their sum does not.
    left = max(left, 0.0)
  figures: dict[str, Any] = {
    'chips': report.num_chips,
    'fits': report.fits,
    'that a program may use of a chip, GiB': limit / _GIB,
    'needed of a chip, GiB': report.needed / _GIB,
    'left, GiB': left / _GIB,
    'compile seconds': report.seconds,
  }
  figures |= {f'{k}, GiB': v / _GIB for k, v in report.memory.items()}
  figures |= {f'{k}, MiB': v / 2**20 for k, v in report.collectives.items()}
  if report.flops:
    figures['compiled GFLOP of a chip'] = report.flops / 1e9
  if report.bytes_accessed:
    moved = report.bytes_accessed / _GIB
    figures["moved by the compiler's count, GiB"] = moved
  return figures


def largest(
  fits: Callable[[int], bool], *, start: int, smallest: int
) -> int | None:
  """Returns the largest batch among start · 2^i that fits; None if none does.

  Args:
    fits: tells for a batch.
    start: where to begin.
    smallest: below this is no batch.
  """
  rows = start
  if fits(rows):
    while fits(2 * rows):
      rows *= 2
    return rows
  while rows % 2 == 0 and rows // 2 >= smallest:
    rows //= 2
    if fits(rows):
      return rows
  return None


def _model_flops(
  config: config_lib.Config,
  planned: abstract.Plan,
  num_examples: int,
  platform: str,
) -> float:
  """Products and sums of the step without those that are done twice."""
  plain = abstract.plan(
    without_recomputation(config), num_examples=num_examples
  )
  return flops.matmul_flops(
    plain.step, planned.state, planned.batch, platform=platform
  )


def _bytes(tree: Any) -> int:
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _print(found: dict[str, Any]) -> None:
  table = Table('', '')
  for name, value in found.items():
    if name != _HEAVIEST:
      table.add_row(name, _shown(value))
  console = Console()
  console.print(table)
  heaviest = found.get(_HEAVIEST)
  if heaviest:
    table = Table(title=_HEAVIEST)
    for name in heaviest[0]:
      table.add_column(name, overflow='fold')
    for kernel in heaviest:
      table.add_row(*map(_shown, kernel.values()))
    console.print(table)


def _shown(value: Any) -> str:
  return f'{value:,.4g}' if isinstance(value, float) else str(value)
