"""The training step of each family of methods beside PyTorch, on one GPU.

Both sides do the same work in bfloat16: views given, forward, loss, backward,
update, with equal numbers of parameters (which is checked). PyTorch has timm's
encoders, heads and losses of lightly, `torch.compile`, autocast, channels-last
convolutions and a fused optimizer. Every measurement is a fresh process, and
the sides alternate; every step is waited for, so that its time is its own.
Medians are over all steps of all processes. For each family three rows:

- images per second;
- model FLOPs utilisation: products and convolutions of the step by trace, the
  same number for both, over the dense bfloat16 peak of the card;
- most memory that arrays had, by each library's own count.

  python -m benchmarks.speed.gpu_step --out rows.jsonl
  python -m benchmarks.speed.gpu_step --device cpu --repeats 1 --steps 2

On a CPU the shapes are tiny and say nothing but that everything runs.
"""

import argparse
from collections.abc import Iterator
import dataclasses
import importlib.metadata
import re
import subprocess
from typing import Any

from benchmarks.report import rows
from benchmarks.speed import families, peaks, step
from benchmarks.speed.families import Family

MODULES = {'ours': 'family_jaxssl', 'theirs': 'family_torch'}
GIB = 2**30


@dataclasses.dataclass
class Runs:
  """What the processes of one side said, up to the first that failed."""

  results: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  failure: str | None = None

  def value(self, key: str) -> Any:
    """Returns what the first process says; None if none came to its end."""
    return self.results[0][key] if self.results else None

  @property
  def seconds(self) -> float | None:
    """Median of a step."""
    return step.median(self.results) if self.results else None


def reason(error: subprocess.SubprocessError) -> str:
  """Returns in one line why a process failed."""
  if isinstance(error, subprocess.TimeoutExpired):
    return f'not done after {error.timeout:.0f} s'
  if error.returncode < 0:
    return f'ended by signal {-error.returncode}'
  lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
  # Notes of the library may follow the line that names the error.
  named = [li for li in lines if re.match(r'[\w.]*(Error|Exception)\b', li)]
  last = (named or lines or [f'exit code {error.returncode}'])[-1]
  return last[:300]


def alternate(
  name: str, args: argparse.Namespace, platform: str
) -> dict[str, Runs]:
  """Measures a family on both sides in turn; a failed side is left out."""
  arguments = [name, '--device', args.device, '--steps', str(args.steps)]
  if args.batch_size:
    arguments += ['--batch_size', str(args.batch_size)]
  sides = {side: Runs() for side in MODULES}
  for _ in range(args.repeats):
    for side, runs in sides.items():
      if runs.failure:
        continue
      try:
        result = step.measure(
          MODULES[side],
          *arguments,
          # JAX must not take the memory of the card away from PyTorch.
          platform=platform if side == 'ours' else 'cpu',
          timeout=args.timeout,
        )
        runs.results.append(result)
      except subprocess.SubprocessError as error:
        runs.failure = reason(error)
  return sides


def failures(sides: dict[str, Runs]) -> str | None:
  """Returns what went wrong, if anything, different networks included."""
  said = [f'{side}: {r.failure}' for side, r in sides.items() if r.failure]
  counts = {
    run['parameters'] for runs in sides.values() for run in runs.results
  }
  if len(counts) > 1:
    said.append(f'different numbers of parameters: {sorted(counts)}')
  return '; '.join(said) or None


def described(family: Family, sides: dict[str, Runs]) -> str:
  """Returns shapes, size, ranges and how long compiling took."""
  first = next((r.results[0] for r in sides.values() if r.results), None)
  parts = [f'batch {family.work.batch}, views {listed(family.views)}']
  if first:
    parts.append(f'{first["parameters"] / 1e6:.2f} M parameters')
  flops = sides['ours'].value('flops')
  if flops:
    parts.append(f'{flops / family.work.batch / 1e9:.4g} GFLOP an image')
  for side, runs in sides.items():
    if runs.results:
      seconds = step.all_seconds(runs.results)
      parts.append(
        f'{side} {1e3 * min(seconds):.4g}-{1e3 * max(seconds):.4g} ms in '
        f'{len(runs.results)} x {len(runs.results[0]["seconds"])} steps, '
        f'compiled in {runs.value("compile_seconds"):.0f} s'
      )
  return '; '.join(parts)


def listed(views: tuple[int, ...]) -> str:
  """Returns sides as '2 x 224 + 6 x 96'."""
  counts = {side: views.count(side) for side in dict.fromkeys(views)}
  return ' + '.join(f'{count} x {side}' for side, count in counts.items())


def family_rows(
  name: str, family: Family, sides: dict[str, Runs]
) -> Iterator[dict[str, Any]]:
  """Yields images per second, utilisation and memory."""
  device, flops = sides['ours'].value('device'), sides['ours'].value('flops')
  peak, batch = peaks.peak_flops(device or ''), family.work.batch
  rates, shares, memory = {}, {}, {}
  for side, runs in sides.items():
    seconds, used = runs.seconds, runs.value('peak_bytes')
    rates[side] = seconds and batch / seconds
    shares[side] = seconds and flops and peaks.utilisation(flops, seconds, peak)
    memory[side] = used and used / GIB
  common = {'peer': peer(), 'detail': described(family, sides)}
  named = f'gpu_step/{name}'
  of_peak = f'of {peak / 1e12:.0f} TFLOP/s' if peak else 'no peak known'
  wrong = failures(sides)
  for row in (
    rows.row(f'{named}/speed', **rates, unit='images/s', **common),
    rows.row(
      f'{named}/utilisation',
      **shares,
      unit='MFU',
      peer=common['peer'],
      detail=f'{device}, {of_peak}',
    ),
    rows.row(
      f'{named}/memory',
      **memory,
      unit='GiB at most',
      peer=common['peer'],
      detail='arrays; by the count of each library',
      lower_is_better=True,
    ),
  ):
    yield rows.failed(row, wrong) if wrong else row


def peer() -> str:
  """Returns what PyTorch's side is, with its version."""
  version = importlib.metadata.version('torch')
  return f'PyTorch {version}, timm, lightly, torch.compile'


def not_run(name: str) -> dict[str, Any]:
  """Returns the row of a family where there is no GPU."""
  return rows.row(
    f'gpu_step/{name}/speed',
    ours=None,
    theirs=None,
    unit='images/s',
    peer='PyTorch, timm, lightly, torch.compile',
    detail='not run: no GPU found',
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields the rows of all families asked for."""
  available = args.device == 'cpu' or step.has_gpu()
  platform = 'cpu' if args.device == 'cpu' else 'cuda'
  for name in args.families or families.GPU:
    if not available:
      yield not_run(name)
      continue
    family = families.TABLES[args.device][name].with_batch(args.batch_size)
    yield from family_rows(name, family, alternate(name, args, platform))


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--device', choices=families.TABLES, default='gpu')
  parser.add_argument('--families', nargs='+', choices=families.GPU)
  parser.add_argument('--batch_size', type=int, help='images, for any family')
  parser.add_argument('--repeats', type=int, default=2, help='processes a side')
  parser.add_argument('--steps', type=int, default=20, help='steps per process')
  parser.add_argument(
    '--timeout', type=float, default=1200, help='seconds for a process'
  )
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  return rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  raise SystemExit(main())
