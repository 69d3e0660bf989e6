"""One of two processes ends: the other too, and both go on to the same bits."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from benchmarks.faults import campaign, tiny_runs
from tests.commands import runs
from tests.parallel import joined

# Seconds from the end of one process to that of the other.
SOON = 60
OURS = 'another process of the run has ended or is out of reach'
# What JAX says when it is faster to notice that the coordinator is gone. It
# then ends the process by SIGABRT.
JAXS = 'Terminating process because the JAX distributed service'


@pytest.fixture(scope='module')
def _forked_commands(tmp_path_factory):
  before = dict(os.environ)
  campaign.prepare(tmp_path_factory.mktemp('compiled'))
  yield
  os.environ.clear()
  os.environ.update(before)


class Pair:
  """Two processes of one device each; the first one is the coordinator.

  Attributes:
    run: their workdir.
    commands: them.
  """

  def __init__(self, workdir: pathlib.Path):
    """Starts them."""
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      address = f'127.0.0.1:{free.getsockname()[1]}'
    self.run = campaign.Workdir(workdir)
    self.commands = [
      campaign.Command(
        [
          *tiny_runs.arguments('simclr', workdir, tokenizer=workdir),
          '--config.train.num_devices=None',
          f'--coordinator={address}',
          '--num_processes=2',
          f'--process_id={index}',
        ],
        workdir.with_name(f'{workdir.name}.{index}.log'),
      )
      for index in range(2)
    ]

  def send(self, number: signal.Signals, index: int, happened) -> None:
    """Signals one of them as soon as something is so."""
    begun = time.time()
    while not happened(begun):
      assert all(command.runs for command in self.commands), self.outputs
      time.sleep(0.003)
    self.commands[index].send(number)

  @property
  def outputs(self) -> list[str]:
    """What both have printed."""
    return [command.output for command in self.commands]

  def end(self) -> list[int]:
    """Waits for both; returns the exit codes."""
    return [command.wait() for command in self.commands]


def _step_ended(run, number):
  """`number` steps after the checkpoint that a new start goes on from."""
  line = (run.checkpoints or [0])[-1] + number
  path = run.path / 'metrics.jsonl'

  def happened(begun):
    # Before that the file still holds the lines of the start before.
    fresh = path.exists() and path.stat().st_mtime >= begun
    return fresh and run.last_step >= line

  return happened


def _checkpoint_began(run):
  return lambda begun: bool(run.half_checkpoints(begun))


def _assert_noticed(code, output):
  if code == -signal.SIGABRT:
    assert JAXS in output
  else:
    assert (code, 'Traceback' in output) == (1, False), output
    assert output.count(OURS) == 1


def _kill(workdir, index, happened):
  """Starts two, kills one, and looks at how the other ends."""
  pair = Pair(workdir)
  pair.send(signal.SIGKILL, index, happened)
  killed = time.monotonic()
  codes = pair.end()
  assert time.monotonic() - killed < SOON
  assert codes[index] == -signal.SIGKILL
  _assert_noticed(codes[1 - index], pair.outputs[1 - index])


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.usefixtures('_forked_commands')
def test_one_of_two_is_killed_again_and_again(tmp_path):
  draw = random.Random(0)
  undisturbed = Pair(tmp_path / 'undisturbed')
  assert undisturbed.end() == [0, 0], undisturbed.outputs
  run = campaign.Workdir(tmp_path / 'run')
  _kill(run.path, 1, _step_ended(run, draw.randint(1, 5)))
  _kill(run.path, 0, _step_ended(run, draw.randint(1, 3)))
  _kill(run.path, 1, _checkpoint_began(run))
  _kill(run.path, 0, _checkpoint_began(run))
  # A request to stop that reaches one of them is a request to both.
  pair = Pair(run.path)
  pair.send(signal.SIGTERM, 1, _step_ended(run, 1))
  assert pair.end() == [42, 42], pair.outputs
  assert 'another process: stopped after saving step' in pair.outputs[0]
  assert 'SIGTERM: stopped after saving step' in pair.outputs[1]
  last = Pair(run.path)
  assert last.end() == [0, 0], last.outputs
  campaign.compare(run, undisturbed.run)


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.usefixtures('_forked_commands')
def test_one_is_asked_to_stop_before_the_first_step(tmp_path):
  pair = Pair(tmp_path / 'run')
  pair.send(signal.SIGTERM, 1, lambda _: (tmp_path / 'run' / 'lock').exists())
  codes = pair.end()
  assert codes[1] == 42, pair.outputs
  if codes[0] != 42:  # it was not in the loop yet, where they ask each other
    _assert_noticed(codes[0], pair.outputs[0])


@pytest.mark.full
@pytest.mark.slow
def test_what_one_process_lacks_ends_both(tmp_path):
  workdir = tmp_path / 'run'
  arguments = runs.train_arguments(workdir, '--config.train.num_devices=None')
  pair = joined.Pair(arguments, devices=1, change=('--data=/nowhere',))
  codes, errors = pair.end()
  assert codes[1] == 2, errors
  assert '/nowhere' in errors[1].splitlines()[-1]
  _assert_noticed(codes[0], errors[0])
  assert not workdir.exists()


@pytest.mark.full
@pytest.mark.slow
def test_a_frozen_process_ends_the_other(tmp_path):
  """Nothing closes its connections; it only falls silent."""
  workdir = tmp_path / 'run'
  arguments = runs.train_arguments(
    workdir, '--config.train.num_devices=None', '--config.train.steps=1000000'
  )
  pair = joined.Pair(arguments, devices=1, module='tests.parallel.impatient')
  metrics = workdir / 'metrics.jsonl'
  first, second = pair.processes
  while not (metrics.exists() and metrics.stat().st_size):
    assert first.poll() is second.poll() is None, pair.end()
    time.sleep(0.05)
  second.send_signal(signal.SIGSTOP)
  _, error = first.communicate(timeout=SOON)
  second.kill()
  second.communicate()
  _assert_noticed(first.returncode, error)


@pytest.mark.slow
@pytest.mark.parametrize('index', [0, 1])
def test_nobody_else_comes(index, tmp_path):
  # Of this test alone: two tests at a time would find each other.
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  arguments = [
    *runs.train_arguments(tmp_path / 'run'),
    f'--coordinator=127.0.0.1:{port}',
    '--num_processes=2',
    f'--process_id={index}',
  ]
  ended = subprocess.run(
    [sys.executable, '-m', 'tests.parallel.impatient', *arguments],
    cwd=joined.REPOSITORY,
    capture_output=True,
    text=True,
    timeout=joined.PATIENCE,
  )
  assert ended.returncode == 1, ended.stderr
  assert 'the processes do not find each other' in ended.stderr
  assert 'Traceback' not in ended.stderr
