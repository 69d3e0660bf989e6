"""Seconds of one SimCLR training step: jaxssl beside PyTorch, or on a GPU.

On a CPU both sides do the same work in float32 on all cores: two views given,
forward, NT-Xent, backward, update, with equal architectures (equal numbers of
parameters are checked). PyTorch runs eagerly, with channels last where there
are convolutions, and through `torch.compile`. Every measurement is a fresh
process, because idle processes with much memory slow down; the peers alternate.
Medians are over all steps of all processes. GFLOP/s count products and
convolutions, the backward pass as twice the forward pass, and are also given as
a share of what a product of 2048 x 2048 matrices reached in the same processes.

  python -m benchmarks.speed.step --out rows.jsonl
  python -m benchmarks.speed.step --device gpu --out rows.jsonl

On a GPU jaxssl runs in bfloat16; `theirs` is what the card could do at its
peak, so that the ratio is the model FLOPs utilisation.
"""

import argparse
from collections.abc import Iterator
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.peers import workloads
from benchmarks.report import rows
from benchmarks.speed import peaks


def measure(
  module: str, *arguments: str, platform: str, timeout: float | None = None
) -> dict[str, Any]:
  """Runs a worker in a fresh process and returns what it printed.

  Args:
    module: name of a file of this folder.
    *arguments: of its command line.
    platform: `JAX_PLATFORMS`.
    timeout: seconds after which it is given up.

  Raises:
    subprocess.CalledProcessError: if the worker failed; with its `stderr`.
    subprocess.TimeoutExpired: if it took too long.
  """
  command = [sys.executable, '-W', 'ignore', '-m', f'benchmarks.speed.{module}']
  done = subprocess.run(
    [*command, *arguments],
    capture_output=True,
    check=False,
    text=True,
    timeout=timeout,
    env=os.environ | {'JAX_PLATFORMS': platform},
  )
  sys.stderr.write(done.stderr)
  done.check_returncode()
  return json.loads(done.stdout.splitlines()[-1])


def cpu_rows(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Measures one workload on all peers in turn."""
  steps = ('--steps', str(args.steps))
  variants = ['eager']
  if workloads.CPU[name].encoder.startswith('resnet'):
    variants.append('channels_last')
  runs = {'jaxssl': [], **{variant: [] for variant in variants}}

  def run_torch(variant):
    return measure(
      'step_torch', name, *steps, '--variant', variant, platform='cpu'
    )

  for _ in range(args.repeats):
    runs['jaxssl'].append(measure('step_jaxssl', name, *steps, platform='cpu'))
    for variant in variants:
      runs[variant].append(run_torch(variant))
  runs['compile'] = [run_torch('compile') for _ in range(args.compile_repeats)]
  check_parameters(runs)
  eager = min(variants, key=lambda variant: median(runs[variant]))
  for variant in (eager, 'compile'):
    if runs[variant]:
      yield cpu_row(name, runs['jaxssl'], runs[variant], variant)


def check_parameters(runs: dict[str, list[dict[str, Any]]]) -> None:
  """Raises `ValueError` if two peers trained different networks."""
  counts = {run['parameters'] for peer in runs.values() for run in peer}
  if len(counts) != 1:
    raise ValueError(f'different numbers of parameters: {sorted(counts)}')


def cpu_row(name, ours, theirs, variant) -> dict[str, Any]:
  """Returns the row of one peer."""
  version = importlib.metadata.version('torch')
  flops = ours[0]['flops']
  return rows.row(
    f'step/{name}',
    ours=median(ours),
    theirs=median(theirs),
    unit='s/step',
    peer=f'PyTorch {version} {variant}',
    detail=f'{ours[0]["parameters"] / 1e6:.2f} M parameters, '
    f'{flops / 1e9:.0f} GFLOP; ours {described(ours, flops)}; '
    f'theirs {described(theirs, flops)}',
    lower_is_better=True,
  )


def described(runs: list[dict[str, Any]], flops: float) -> str:
  """Returns range, processor time, rate, its share, time to compile."""
  seconds = all_seconds(runs)
  cpu = statistics.median(s for run in runs for s in run['cpu_seconds'])
  rate = flops / statistics.median(seconds) / 1e9
  product = statistics.median(run['matmul_gflops'] for run in runs)
  start = statistics.median(run['compile_seconds'] for run in runs)
  return (
    f'{min(seconds):.2f}-{max(seconds):.2f} s in {len(runs)} x '
    f'{len(runs[0]["seconds"])} steps, {cpu:.2f} s of processor time, '
    f'{rate:.0f} GFLOP/s, {rate / product:.0%} of {product:.0f}, '
    f'first step or compilation {start:.0f} s'
  )


def gpu_row(name: str, args: argparse.Namespace) -> dict[str, Any]:
  """Measures one workload in bfloat16 on one GPU."""
  settings = (name, '--steps', str(args.steps), '--dtype', 'bfloat16')
  runs = [
    measure('step_jaxssl', *settings, platform='cuda')
    for _ in range(args.repeats)
  ]
  device, batch = runs[0]['device'], workloads.GPU[name].batch
  peak = peaks.peak_flops(device)
  flops, seconds = runs[0]['flops'], median(runs)
  return rows.row(
    f'step/gpu/{name}',
    ours=batch / seconds,
    theirs=peak and batch * peak / flops,
    unit='images/s',
    peer=f'{device} at its dense bfloat16 peak',
    detail=f'bfloat16, batch {batch}, two views per image, '
    f'{flops / batch / 1e9:.1f} GFLOP an image; {described(runs, flops)}',
  )


def all_seconds(runs: list[dict[str, Any]]) -> list[float]:
  return [seconds for run in runs for seconds in run['seconds']]


def median(runs: list[dict[str, Any]]) -> float:
  return statistics.median(all_seconds(runs))


def has_gpu() -> bool:
  """Whether JAX finds a GPU, asked in another process."""
  code = 'import jax; jax.devices("cuda")'
  done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
  return done.returncode == 0


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  if args.device == 'cpu':
    for name in args.models or workloads.CPU:
      yield from cpu_rows(name, args)
    return
  available = has_gpu()
  for name in args.models or workloads.GPU:
    if available:
      yield gpu_row(name, args)
      continue
    yield rows.row(
      f'step/gpu/{name}',
      ours=None,
      theirs=None,
      unit='images/s',
      peer='dense bfloat16 peak',
      detail='not run: no GPU found',
    )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--device', choices=('cpu', 'gpu'), default='cpu')
  parser.add_argument(
    '--models', nargs='+', choices=(*workloads.CPU, *workloads.GPU)
  )
  parser.add_argument('--repeats', type=int, default=2, help='processes a peer')
  parser.add_argument(
    '--compile_repeats', type=int, default=1, help='processes of torch.compile'
  )
  parser.add_argument('--steps', type=int, default=4, help='steps per process')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  table = workloads.CPU if args.device == 'cpu' else workloads.GPU
  for name in args.models or ():
    if name not in table:
      parser.error(f'{name} is not measured on a {args.device}')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
