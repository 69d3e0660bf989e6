"""Signals, kills and a full disk: the same command ends with the same bits."""

import pathlib
import random
import shutil
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
SPEEDS = ('images_per_second', 'seconds', 'seconds_left', 'input_wait')
ARGUMENTS = (
  f'--config.train.steps={STEPS}',
  '--config.train.checkpoint_steps=3',
  '--config.eval.steps=6',
)
PATIENCE = 300  # seconds; only a run that hangs needs them


class Child:
  """`jaxssl train` in a process of its own."""

  def __init__(self, workdir: pathlib.Path, environment, *more, first='pass'):
    arguments = runs.train_arguments(workdir, *ARGUMENTS, *more)
    # Steps that a test can hit: longer than the ten milliseconds of a step.
    # Limits are set there, not by `preexec_fn`: JAX has threads here.
    start = f'from tests.commands import slow; {first}; slow.main()'
    self._process = subprocess.Popen(
      [sys.executable, '-c', start, *arguments],
      cwd=pathlib.Path(__file__).parents[2],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
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


@pytest.fixture
def stopped(run, undisturbed):
  """A run that stopped after its checkpoints 6 and 9."""
  shutil.copytree(undisturbed, run)
  shutil.rmtree(run / 'checkpoints' / str(STEPS))
  shutil.rmtree(run / 'export')
  return run


@pytest.mark.slow
def test_signals_save_and_the_same_command_goes_on(
  run, undisturbed, child_environment
):
  moments = random.Random(0)
  for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    lines = _lines(run) + moments.randint(1, 3)
    child = Child(run, child_environment)
    child.wait_for(lambda n=lines: _lines(run) > n)
    child.send(number)
    code, error = child.end()
    assert code == 42, error
    assert f'{number.name}: stopped after saving step' in error
    assert 'Traceback' not in error
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
def test_a_run_whose_folder_another_has_begun_anew_ends(
  run, undisturbed, child_environment
):
  child = Child(run, child_environment)
  child.wait_for(lambda: _lines(run) > 0)
  shutil.rmtree(run)
  run.mkdir()
  (run / 'lock').touch()
  code, error = child.end()
  assert code == 2, error
  assert 'was removed or begun anew by another process' in error
  assert 'Traceback' not in error
  assert [path.name for path in run.iterdir()] == ['lock']


@pytest.mark.slow
def test_signal_before_the_first_step(run, child_environment):
  child = Child(run, child_environment)
  child.wait_for((run / 'lock').exists)
  child.send(signal.SIGTERM)
  code, error = child.end()
  assert code == 42, error
  assert 'Traceback' not in error
  assert 'the same command goes on' in error


@pytest.mark.slow
@pytest.mark.parametrize(
  ('after', 'message'),
  [
    (0, 'stopped before step 1; nothing was lost'),
    (5, 'stopped after saving step'),
  ],
)
def test_a_stop_is_heard_while_a_batch_is_made(
  after, message, run, undisturbed, child_environment
):
  child = Child(run, child_environment, first=f'slow.batches({after})')
  log = run / 'train.log'
  begun = 'making the first batch' if not after else 'step 2/'
  child.wait_for(lambda: log.exists() and begun in log.read_text())
  time.sleep(1.5)  # the steps that have a batch end, and the next one waits
  child.send(signal.SIGTERM)
  start = time.monotonic()
  code, error = child.end()
  assert code == 42, error
  assert time.monotonic() - start < 60  # of the minutes that a batch takes
  assert f'SIGTERM: {message}' in error
  assert 'Traceback' not in error
  assert 'terminate' not in error  # of C++, where threads outlive Python
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
def test_killed_at_a_step_and_while_a_checkpoint_is_written(
  run, undisturbed, child_environment
):
  moments = random.Random(1)
  lines = moments.randint(1, 5)
  # Orbax writes into a folder of another name, and renames it at the end.
  for happened in (
    lambda: _lines(run) > lines,
    lambda: any((run / 'checkpoints').glob('*tmp*')),
  ):
    child = Child(run, child_environment)
    child.wait_for(happened)
    child.send(signal.SIGKILL)
    assert child.end()[0] == -signal.SIGKILL
  _ends_like(run, undisturbed, child_environment)


@pytest.mark.slow
def test_full_disk(stopped, undisturbed, child_environment):
  code, error = Child(
    stopped, child_environment, first='slow.fill_disk()'
  ).end()
  assert code == 2, error
  # Threads of the array store print of their own while they are torn down, so
  # the line need be neither the last nor alone on its line.
  assert error.count('could not save a checkpoint') == 1, error
  assert error.count('last good checkpoint: step 9') == 1, error
  _ends_like(stopped, undisturbed, child_environment)


@pytest.mark.slow
def test_damaged_newest_checkpoint(stopped, undisturbed, child_environment):
  for path in (stopped / 'checkpoints' / '9').rglob('*'):
    if path.is_file() and path.stat().st_size > 500:
      path.write_bytes(path.read_bytes()[:100])
  code, error = Child(stopped, child_environment).end()
  assert code == 0, error
  assert '9 is damaged' in error
  assert 'resuming from step 6' in error
  chex.assert_trees_all_equal(_weights(stopped), _weights(undisturbed))
