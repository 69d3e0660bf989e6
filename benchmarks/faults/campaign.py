"""Kills runs of every method at random moments and lets them end.

For each method a tiny run (`tiny_runs`) is trained once undisturbed. Then the
same command is started in another workdir and killed, again and again, and at
last left alone. A run that was killed must

- go on from the newest checkpoint that was complete when it was killed,
- end with exit code 0, without a traceback, and leave no half checkpoint,
- have the bytes of the undisturbed run in `export/` and `config.json`, the bits
  in all arrays of its last checkpoint, and the records in `metrics.jsonl`, but
  for speeds.

Moments are random in time and random around what is dangerous: the workdir is
claimed, a step has ended, a checkpoint begins, it is complete (and an older one
is deleted), the encoder is exported. What a kill hit is looked up afterwards.
One kill in six is SIGTERM, after which the run must have saved and exited with
42; the others are SIGKILL.

  python -m benchmarks.faults.campaign --kills 60 --seed 0 --out rows.jsonl

Runs are processes forked from one that has imported everything, so a start
takes seconds less; `tests/commands/test_interruptions.py` starts real commands.
"""

import argparse
import atexit
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
import dataclasses
import itertools
import json
import logging
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

from benchmarks.faults import tiny_runs
from benchmarks.report import rows
from jaxssl.config import schema

_log = logging.getLogger(__name__)

SPEEDS = ('images_per_second', 'seconds', 'seconds_left', 'input_wait')
PATIENCE = 600  # seconds; only a run that hangs needs them
TEMPORARY = '*orbax-checkpoint-tmp*'
MOST_KILLS = 3  # of one run
TERM_SHARE = 1 / 6
EXIT_PREEMPTED = 42
PRELOAD = (
  'jaxssl.commands.train',
  'tensorflow',
  'sklearn.datasets',
  'skimage.data',
)
ENVIRONMENT = {
  'JAX_PLATFORMS': 'cpu',
  'JAX_NUM_CPU_DEVICES': '1',
  'JAX_ENABLE_COMPILATION_CACHE': 'true',
  'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  'TF_CPP_MIN_LOG_LEVEL': '3',
  # Runs compile much and compute little.
  'XLA_FLAGS': '--xla_backend_optimization_level=0 '
  '--xla_llvm_disable_expensive_passes=true',
}


class Command:
  """A started command; its output goes to a file."""

  def __init__(self, arguments: Sequence[str], log: pathlib.Path):
    self._log = log
    self._process = multiprocessing.get_context('forkserver').Process(
      target=_run, args=(list(arguments), str(log)), daemon=True
    )
    with _STARTING:
      self._process.start()

  @property
  def output(self) -> str:
    """What it has printed so far."""
    return _text(self._log)

  @property
  def runs(self) -> bool:
    """Whether it has not ended."""
    return self._process.is_alive()

  def send(self, number: signal.Signals) -> None:
    """Sends a signal."""
    os.kill(self._process.pid, number)

  def wait(self) -> int:
    """Returns the exit code; of a killed one, minus the signal."""
    self._process.join(PATIENCE)
    if self._process.exitcode is None:
      self._process.kill()
      raise TimeoutError(f'still running after {PATIENCE} s; see {self._log}')
    return self._process.exitcode


def prepare(compiled: pathlib.Path) -> None:
  """Says how commands run, before the first is started.

  Args:
    compiled: folder of compiled programs, for all of them.
  """
  os.environ.update(ENVIRONMENT, JAX_COMPILATION_CACHE_DIR=str(compiled))
  multiprocessing.get_context('forkserver').set_forkserver_preload(PRELOAD)


# Several threads start commands, which `multiprocessing` does not expect.
_STARTING = threading.Lock()


def _run(arguments: list[str], log: str) -> None:
  """In the new process: `jaxssl`, as on the command line."""
  file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  for stream in (1, 2):
    os.dup2(file, stream)
  from jaxssl import cli

  code = cli.main(arguments)
  # Left out in forked processes: several that are joined leave each other here.
  atexit._run_exitfuncs()
  sys.exit(code)


@dataclasses.dataclass(frozen=True)
class Workdir:
  """What can be seen of a run from outside."""

  path: pathlib.Path

  @property
  def checkpoints(self) -> list[int]:
    """Steps of the complete ones."""
    found = (self.path / 'checkpoints').glob('*')
    return sorted(int(p.name) for p in found if p.name.isdecimal())

  @property
  def last_step(self) -> int:
    """Of the last complete record of metrics."""
    path = self.path / 'metrics.jsonl'
    found = re.findall(r'^{"step": (\d+).*}$', _text(path), re.MULTILINE)
    return int(found[-1]) if found else 0

  def half_checkpoints(self, since: float = 0.0) -> list[str]:
    """Temporary folders that have changed since then (`time.time`)."""
    found = (self.path / 'checkpoints').glob(TEMPORARY)
    return [p.name for p in found if _changed(p) >= since]

  def exports(self, since: float) -> bool:
    """Whether the export has begun since then (`time.time`)."""
    return any(_changed(p) >= since for p in (self.path / 'export').glob('*'))


def _text(path: pathlib.Path) -> str:
  return path.read_text() if path.exists() else ''


def _changed(path: pathlib.Path) -> float:
  try:
    return path.stat().st_ctime
  except FileNotFoundError:  # renamed by now
    return 0.0


@dataclasses.dataclass(frozen=True)
class Moment:
  """When to send a signal.

  Attributes:
    name: of its kind.
    happened: time of the start -> whether it is so.
    delay: seconds to wait then.
  """

  name: str
  happened: Callable[[float], bool]
  delay: float


def _moments(draw: random.Random, run: Workdir, seconds: float) -> list[Moment]:
  """Returns one moment of each kind for the next start of a run.

  Args:
    draw: source of randomness.
    run: as it is before the start.
    seconds: how long the undisturbed run took.
  """
  done = run.checkpoints
  resumes = done[-1] if done else 0
  # Lines after the last checkpoint are written again. Step 0 has one as well,
  # and every evaluation.
  line = draw.randint(min(resumes + 1, tiny_runs.STEPS), tiny_runs.STEPS)
  always = [
    Moment('any time', lambda t: True, draw.uniform(0, seconds)),
    Moment(
      'claimed',
      lambda t: _changed(run.path / 'lock') >= t,
      draw.uniform(0, 0.5),
    ),
    Moment('the export began', run.exports, draw.uniform(0, 0.005)),
  ]
  if resumes == tiny_runs.STEPS:
    return always
  return [
    *always,
    Moment(
      'a step ended',
      lambda t: (
        _changed(run.path / 'metrics.jsonl') >= t and run.last_step >= line
      ),
      draw.uniform(0, 0.1),
    ),
    Moment(
      'a checkpoint began',
      lambda t: bool(run.half_checkpoints(t)),
      draw.uniform(0, 0.2),
    ),
    Moment(
      'a checkpoint is complete',
      lambda t: run.checkpoints != done,
      draw.uniform(0, 0.05),
    ),
    Moment(
      'the last one is complete',
      lambda t: tiny_runs.STEPS in run.checkpoints,
      draw.uniform(0, 0.2),
    ),
  ]


def _hit(run: Workdir, output: str, started: float) -> str:
  """Says what a run was doing when it ended."""
  if run.exports(started):
    return 'export'
  half = run.half_checkpoints(started)
  if half:
    return 'a checkpoint being written'
  if tiny_runs.STEPS in run.checkpoints:
    return 'between the last checkpoint and the export'
  if re.search(r'^step \d+/\d+  loss', output, re.MULTILINE):
    return 'between checkpoints'
  if 'step 0/' in output or 'resuming' in output:
    return 'compilation of the step'
  if _changed(run.path / 'lock') >= started:
    return 'claimed, before the state'
  return 'before the workdir is claimed'


class Differs(Exception):
  """A run did not end like the undisturbed one."""


def compare(run: Workdir, undisturbed: Workdir) -> None:
  """Raises `Differs` if two finished runs differ in anything but speeds."""
  for path in sorted((undisturbed.path / 'export').iterdir()):
    other = run.path / 'export' / path.name
    if path.read_bytes() != other.read_bytes():
      raise Differs(f'export/{path.name} differs')
  if _config(run) != _config(undisturbed):
    raise Differs('config.json differs')
  if metrics(run.path) != metrics(undisturbed.path):
    raise Differs('metrics.jsonl differs')
  kept, wanted = run.checkpoints, undisturbed.checkpoints
  # Of the older ones SIGTERM may have made one at another step.
  if len(kept) != len(wanted) or kept[-1] != wanted[-1]:
    raise Differs(f'checkpoints {kept}, not {wanted}')
  if run.half_checkpoints():
    raise Differs(f'left behind: {run.half_checkpoints()}')
  ours, theirs = (
    arrays(each.path, tiny_runs.STEPS) for each in (run, undisturbed)
  )
  if not theirs:
    raise Differs('no arrays in the last checkpoint')
  for name in sorted(ours.keys() | theirs.keys()):
    if ours[name].tobytes() != theirs[name].tobytes():
      raise Differs(f'array {name} of the last checkpoint differs')


def _config(run: Workdir) -> bytes:
  return (run.path / 'config.json').read_bytes()


def metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the records of a run without what depends on the machine."""
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [
    {k: v for k, v in json.loads(line).items() if k not in SPEEDS}
    for line in lines
  ]


def arrays(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
  """Returns the arrays of a checkpoint by name, read without Orbax."""
  import tensorstore as ts

  base = {'driver': 'file', 'path': f'{workdir}/checkpoints/{step}/state/'}
  store = ts.KvStore.open({'driver': 'ocdbt', 'base': base}).result()
  keys = [key.decode() for key in store.list().result()]
  names = [k.removesuffix('.zarray') for k in keys if k.endswith('.zarray')]
  return {
    name.rstrip('/'): ts.open(
      {'driver': 'zarr', 'kvstore': (store / name).spec().to_json()}
    )
    .result()
    .read()
    .result()
    for name in names
  }


@dataclasses.dataclass(frozen=True)
class Campaign:
  """The kills of one method.

  Attributes:
    method: key of `tiny_runs.METHODS`.
    folder: scratch.
    kills: how many.
    seed: of the moments.
  """

  method: str
  folder: pathlib.Path
  kills: int
  seed: int

  @property
  def undisturbed(self) -> Workdir:
    """The run to compare with."""
    return Workdir(self.folder / self.method / 'undisturbed')

  def start(self, run: Workdir) -> Command:
    """Starts the command of a run."""
    tokenizer = self.folder / 'dvae' / 'undisturbed' / 'export'
    run.path.parent.mkdir(parents=True, exist_ok=True)
    return Command(
      tiny_runs.arguments(self.method, run.path, tokenizer),
      run.path.with_suffix('.log'),
    )

  def train(self) -> float:
    """Trains without disturbance; returns the seconds it took."""
    begun = time.monotonic()
    self._finish(self.undisturbed)
    return time.monotonic() - begun

  def rows(self, seconds: float) -> Iterator[dict[str, Any]]:
    """Kills, compares, and yields one row a kill."""
    draw = random.Random(f'{self.seed} {self.method}')
    numbers = itertools.count()
    left = self.kills
    while left:
      run = Workdir(self.folder / self.method / f'run{next(numbers)}')
      killed = []
      while len(killed) < min(left, MOST_KILLS):
        row = self._kill(run, draw, seconds)
        if row is None:
          break  # it was faster than the signal
        _log.info('%s', row)
        killed.append(row)
      self._finish(run)
      compare(run, self.undisturbed)
      shutil.rmtree(run.path)
      yield from killed
      left -= len(killed)

  def _kill(
    self, run: Workdir, draw: random.Random, seconds: float
  ) -> dict[str, Any] | None:
    """Starts the command and kills it; None if it ended before."""
    moment = draw.choice(_moments(draw, run, seconds))
    number = signal.SIGTERM if draw.random() < TERM_SHARE else signal.SIGKILL
    before = run.checkpoints
    started = time.time()
    command = self.start(run)
    while command.runs and not moment.happened(started):
      time.sleep(0.003)
    time.sleep(moment.delay)
    if not command.runs:
      self._check_resumed(command, before)
      return None
    command.send(number)
    code = command.wait()
    if code == 0 and number == signal.SIGTERM:
      return None  # in the last moment, and nothing was left to do
    if code not in self._expected(number, command):
      raise Differs(f'exit code {code} after {number.name}: {command.output}')
    self._check_resumed(command, before)
    return {
      'method': self.method,
      'signal': number.name,
      'moment': moment.name,
      'hit': _hit(run, command.output, started),
      'resumed_from': before[-1] if before else 0,
      'complete': run.checkpoints[-1] if run.checkpoints else 0,
    }

  def _expected(
    self, number: signal.Signals, command: Command
  ) -> tuple[int, ...]:
    """Exit codes: as a command, or as Python before and after it."""
    if number == signal.SIGKILL:
      return (-number,)
    outside = not command.output or 'done:' in command.output
    return (EXIT_PREEMPTED, -number) if outside else (EXIT_PREEMPTED,)

  def _finish(self, run: Workdir) -> None:
    """Starts the command and lets it end."""
    before = run.checkpoints
    command = self.start(run)
    code = command.wait()
    if code or 'Traceback' in command.output:
      raise Differs(f'exit code {code}: {command.output}')
    self._check_resumed(command, before)

  def _check_resumed(self, command: Command, before: list[int]) -> None:
    found = re.search(r'resuming from step (\d+)', command.output)
    if found and (not before or int(found[1]) != before[-1]):
      raise Differs(f'resumed from step {found[1]} of {before}')
    if before and not found and 'step 0/' in command.output:
      raise Differs(f'began anew in spite of {before}')


def campaign(
  methods: Sequence[str], kills: int, seed: int, workers: int
) -> Iterator[dict[str, Any]]:
  """Yields the rows of all methods.

  Args:
    methods: keys of `tiny_runs.METHODS`.
    kills: in all, spread evenly.
    seed: of the moments.
    workers: runs at a time.
  """
  with tempfile.TemporaryDirectory() as folder:
    prepare(pathlib.Path(folder) / 'compiled')
    shares = [
      Campaign(
        method,
        pathlib.Path(folder),
        kills // len(methods) + (number < kills % len(methods)),
        seed,
      )
      for number, method in enumerate(methods)
    ]
    if any(map(schema.takes_codebook, methods)):
      Campaign('dvae', pathlib.Path(folder), 0, seed).train()

    def one(share: Campaign) -> list[dict[str, Any]]:
      begun = time.monotonic()
      found = list(share.rows(share.train()))
      _log.info('%s: %.0f s', share.method, time.monotonic() - begun)
      return found

    with futures.ThreadPoolExecutor(workers) as pool:
      for found in pool.map(one, shares):
        yield from found


def summary(rows: Sequence[dict[str, Any]]) -> str:
  """Returns a table of what was hit, by signal."""
  counts = Counter((row['hit'], row['signal']) for row in rows)
  lines = ['| what a signal hit | SIGKILL | SIGTERM |', '|---|---|---|']
  for hit in sorted({hit for hit, _ in counts}):
    lines.append(
      f'| {hit} | {counts[hit, "SIGKILL"]} | {counts[hit, "SIGTERM"]} |'
    )
  lines.append(
    f'| all | {sum(r["signal"] == "SIGKILL" for r in rows)} | '
    f'{sum(r["signal"] == "SIGTERM" for r in rows)} |'
  )
  return '\n'.join(lines)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--methods', nargs='+', choices=tiny_runs.METHODS)
  parser.add_argument('--kills', type=int, default=60, help='in all')
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument('--workers', type=int, default=2, help='runs at a time')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  logging.basicConfig(format='%(message)s', level=logging.WARNING)
  _log.setLevel(logging.INFO)
  methods = args.methods or list(tiny_runs.METHODS)
  found = []

  def kept() -> Iterator[dict[str, Any]]:
    for row in campaign(methods, args.kills, args.seed, args.workers):
      found.append(row)
      yield row

  rows.report(kept(), args.out)
  print(summary(found))


if __name__ == '__main__':
  main()
