"""One training step of two versions of jaxssl and of PyTorch, in turn.

Four processes a workload of `benchmarks.speed.step`, all kept; each does three
steps, then the next one does, so that what else the machine does meets all. The
first of three is not counted: a virtual machine gives memory that was free for
seconds back to its host, and the step after a pause waits for it. This tree's
process has large pages as `jaxssl train` has (`jaxssl.huge_pages`); PyTorch is
there with and without.

  git worktree add ../before COMMIT
  python -m benchmarks.speed.in_turn --before ../before --out rows.jsonl
  taskset -c 0 python -m benchmarks.speed.in_turn --before ../before --batch 16

A row for each of the others: `ours` is this tree's step, `theirs` theirs, by
the clock; the detail has processor time too. PyTorch runs eagerly, with
channels last where there are convolutions.
"""

import argparse
from collections.abc import Callable, Generator, Iterator
import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.peers import workloads
from benchmarks.peers.workloads import Workload
from benchmarks.report import rows

# Steps of a turn, after the first.
COUNTED = 2
TREE = pathlib.Path(__file__).parents[2]
# With large pages, or without.
PEERS = {
  'now': True,
  'before': False,
  'PyTorch': False,
  'PyTorch with large pages': True,
}


def jaxssl_step(work: Workload) -> Callable[[], Any]:
  """Returns a step of the tree that is first on the path.

  By what `benchmarks.speed.step_jaxssl` of older trees has too.
  """
  import jax

  from benchmarks.speed import step_jaxssl
  from jaxssl.parallel import modes

  learner = step_jaxssl.make_learner(
    step_jaxssl.make_method(work), work.optimizer
  )
  mode = modes.make_mode('jit', num_devices=1)
  batch = mode.put_batch(step_jaxssl.make_batch(work))
  state = mode.init(learner.init, jax.random.key(0), batch)
  compiled = mode.compile(learner.step).lower(state, batch).compile()

  def step() -> None:
    nonlocal state
    state, _ = jax.block_until_ready(compiled(state, batch))

  return step


def torch_step(work: Workload) -> Callable[[], Any]:
  """Returns a step of PyTorch."""
  import torch

  from benchmarks.speed import step_torch

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  has_channels = work.encoder.startswith('resnet')
  variant = 'channels_last' if has_channels else 'eager'
  return step_torch.make_step(work, variant)[0]


def serve(peer: str, work: Workload) -> None:
  """Does steps for each line that is read, and answers with their seconds."""
  step = (torch_step if peer.startswith('PyTorch') else jaxssl_step)(work)
  for _ in range(2):
    step()
  print('ready', flush=True)
  for _ in sys.stdin:
    step()
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(COUNTED):
      step()
    seconds = time.perf_counter() - start, time.process_time() - cpu_start
    print(json.dumps([s / COUNTED for s in seconds]), flush=True)


@contextlib.contextmanager
def worker(
  peer: str, work: Workload, before: pathlib.Path
) -> Generator[subprocess.Popen[str]]:
  """Starts the process of a peer, in its tree; ends it in the end."""
  from jaxssl import huge_pages  # the tree of `before` may have none

  tree = before if peer == 'before' else TREE
  large = huge_pages.with_huge_pages('') if PEERS[peer] else ''
  described = json.dumps(dataclasses.asdict(work))
  command = [sys.executable, '-W', 'ignore', __file__]
  command += ['--worker', peer, '--work', described]
  process = subprocess.Popen(
    command,
    cwd=tree,
    env=os.environ
    | {
      'JAX_PLATFORMS': 'cpu',
      'PYTHONPATH': str(tree),
      huge_pages.VARIABLE: large or '',
    },
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  try:
    answer(process)
    yield process
  finally:
    process.kill()
    process.wait()


def answer(process: subprocess.Popen[str]) -> str:
  """Returns the next line of a process.

  Raises:
    RuntimeError: if it ended.
  """
  line = process.stdout.readline() if process.stdout else ''
  if not line:
    raise RuntimeError(f'{process.args} ended')
  return line


def seconds_in_turn(
  work: Workload, args: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
  """Returns seconds by the clock and of the processor, by peer."""
  with contextlib.ExitStack() as stack:
    # One after the other, so that they do not compile beside each other.
    processes = {
      peer: stack.enter_context(worker(peer, work, args.before))
      for peer in ('now', *args.peers)
    }
    taken = {peer: [] for peer in processes}
    for _ in range(args.turns):
      for peer, process in processes.items():
        assert process.stdin is not None
        process.stdin.write('step\n')
        process.stdin.flush()
        taken[peer].append(tuple(json.loads(answer(process))))
  return taken


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields the rows of every workload."""
  cores = len(os.sched_getaffinity(0))
  for name in args.workloads:
    work = workloads.CPU[name]
    work = dataclasses.replace(work, batch=args.batch or work.batch)
    taken = seconds_in_turn(work, args)
    for peer in args.peers:
      ours, theirs = taken['now'], taken[peer]
      yield rows.row(
        f'in_turn/{name}/{peer}',
        ours=_median(ours, 0),
        theirs=_median(theirs, 0),
        unit='s/step',
        peer=peer,
        detail=f'2 x {work.batch} views, {args.turns} turns on {cores} cores; '
        f'ours {_described(ours)}; theirs {_described(theirs)}',
        lower_is_better=True,
      )


def _median(taken: list[tuple[float, float]], which: int) -> float:
  return statistics.median(seconds[which] for seconds in taken)


def _described(taken: list[tuple[float, float]]) -> str:
  best, worst = min(taken)[0], max(taken)[0]
  return f'{best:.2f}-{worst:.2f} s, processor {_median(taken, 1):.2f} s'


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--before', type=pathlib.Path, help='the other tree')
  parser.add_argument(
    '--workloads',
    nargs='+',
    choices=workloads.CPU,
    default=list(workloads.CPU),
  )
  parser.add_argument('--batch', type=int, help="images; the workload's")
  parser.add_argument('--turns', type=int, default=4)
  parser.add_argument(
    '--peers', nargs='+', choices=PEERS, default=list(PEERS)[1:]
  )
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  parser.add_argument('--worker', choices=PEERS, help=argparse.SUPPRESS)
  parser.add_argument('--work', help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.worker:
    serve(args.worker, Workload(**json.loads(args.work)))
  elif args.before is None:
    parser.error('--before is missing: a folder with another commit')
  else:
    rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
