"""Signals, kills and a full disk: the same command ends with the same bits."""

import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import chex
import numpy as np
import pytest

from jaxssl.weights import safetensors_file
from tests.commands import runs

STEPS = 12
SPEEDS = ('images_per_second', 'seconds_left', 'input_wait')
ARGUMENTS = (
  f'--config.train.steps={STEPS}',
  '--config.train.checkpoint_steps=3',
  '--config.eval.steps=6',
)
PATIENCE = 300  # seconds; only a run that hangs needs them


class Child:
  """`jaxssl train` in a process of its own."""

  def __init__(self, workdir: pathlib.Path, environment, *more, limit=None):
    arguments = runs.train_arguments(workdir, *ARGUMENTS, *more)
    # Steps that a test can hit: longer than the ten milliseconds of a step.
    start = 'import sys; from tests.commands import slow; sys.exit(slow.main())'
    self._process = subprocess.Popen(
      [sys.executable, '-c', start, *arguments],
      cwd=pathlib.Path(__file__).parents[2],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      preexec_fn=limit,
    )

  def send(self, number: signal.Signals) -> None:
    self._process.send_signal(number)

  def wait_for(self, happened) -> None:
    """Waits until something is so, or the process has ended."""
    end = time.monotonic() + PATIENCE
    while not happened() and self._process.poll() is None:
      assert time.monotonic() < end
      time.sleep(0.005)

  def end(self) -> tuple[int, str]:
    """Returns exit code and standard error."""
    _, error = self._process.communicate(timeout=PATIENCE)
    return self._process.returncode, error


def _lines(workdir: pathlib.Path) -> int:
  path = workdir / 'metrics.jsonl'
  return len(path.read_text().splitlines()) if path.exists() else 0


def _weights(workdir: pathlib.Path) -> dict[str, np.ndarray]:
  return safetensors_file.read(workdir / 'export' / 'encoder.safetensors')


def _without_speeds(workdir: pathlib.Path) -> list[dict]:
  return [
    {name: value for name, value in record.items() if name not in SPEEDS}
    for record in runs.metrics(workdir)
  ]


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory, child_environment) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
  code, error = Child(workdir, child_environment).end()
  assert code == 0, error
  return workdir


@pytest.fixture
def run(tmp_path, undisturbed):
  """A new workdir; what compiles is in the cache by now."""
  return tmp_path / 'run'


def _ends_like(workdir, undisturbed, environment):
  code, error = Child(workdir, environment).end()
  assert code == 0, error
  chex.assert_trees_all_equal(_weights(workdir), _weights(undisturbed))
  assert _without_speeds(workdir) == _without_speeds(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_the_same_command_goes_on(
  number, run, undisturbed, child_environment
):
  child = Child(run, child_environment)
  after = random.Random(int(number)).randint(1, STEPS // 2)
  child.wait_for(lambda: _lines(run) > after)
  child.send(number)
  code, error = child.end()
  assert code == 42, error
  assert f'{number.name}: stopped after saving step' in error
  assert 'Traceback' not in error
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal_before_the_first_step(number, run, child_environment):
  child = Child(run, child_environment)
  child.wait_for((run / 'train.log').exists)
  child.send(number)
  code, error = child.end()
  assert code == 42, error
  assert 'Traceback' not in error
  assert 'the same command goes on' in error


@pytest.mark.slow
def test_killed_again_and_again(run, undisturbed, child_environment):
  moments = random.Random(0)
  for _ in range(3):
    before = _lines(run)
    child = Child(run, child_environment)
    after = before + moments.randint(1, 3)
    child.wait_for(lambda n=after: _lines(run) > n)
    time.sleep(moments.uniform(0, 0.05))
    child.send(signal.SIGKILL)
    assert child.end()[0] == -signal.SIGKILL
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written(
  run, undisturbed, child_environment
):
  child = Child(run, child_environment)
  # Orbax writes into a folder of another name, and renames it at the end.
  child.wait_for(lambda: any((run / 'checkpoints').glob('*tmp*')))
  child.send(signal.SIGKILL)
  assert child.end()[0] == -signal.SIGKILL
  _ends_like(run, undisturbed, child_environment)


def _small_files():
  """No file may grow beyond 2 kB, as on a disk that is nearly full."""
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (FEW, resource.RLIM_INFINITY))


FEW = 2048


@pytest.mark.slow
def test_full_disk(run, undisturbed, child_environment):
  stopped = Child(run, child_environment)
  stopped.wait_for(lambda: (run / 'checkpoints' / '3').is_dir())
  stopped.send(signal.SIGTERM)
  assert stopped.end()[0] == 42
  kept = max(int(path.name) for path in (run / 'checkpoints').iterdir())
  code, error = Child(run, child_environment, limit=_small_files).end()
  assert code == 2, error
  assert 'Traceback' not in error
  assert error.splitlines()[-1].startswith('jaxssl: ')
  assert (run / 'checkpoints' / str(kept)).is_dir()
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
def test_damaged_newest_checkpoint(run, undisturbed, child_environment):
  stopped = Child(run, child_environment)
  stopped.wait_for(lambda: (run / 'checkpoints' / '6').is_dir())
  stopped.send(signal.SIGTERM)
  assert stopped.end()[0] == 42
  newest, older = sorted(
    (int(path.name) for path in (run / 'checkpoints').iterdir()), reverse=True
  )[:2]
  for path in (run / 'checkpoints' / str(newest)).rglob('*'):
    if path.is_file() and path.stat().st_size > 500:
      path.write_bytes(path.read_bytes()[:100])
  code, error = Child(run, child_environment).end()
  assert code == 0, error
  assert f'{newest} is damaged' in error
  assert f'resuming from step {older}' in error
  chex.assert_trees_all_equal(_weights(run), _weights(undisturbed))
