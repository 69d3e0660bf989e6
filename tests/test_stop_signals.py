"""Stops while no training loop hears them, also in a process of its own."""

import gc
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from jaxssl import cli, stop_signals
from jaxssl.commands import methods

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _not_ignored():
  # A process that was started in the background ignores SIGINT.
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def _once(number):
  asked = []

  def ask(*_):
    if not asked:
      asked.append(None)
      os.kill(os.getpid(), number)

  return ask


@pytest.mark.parametrize(
  'number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
)
def test_a_stop_unwinds(number):
  before = signal.getsignal(number)
  with pytest.raises(KeyboardInterrupt), stop_signals.unwinding():
    os.kill(os.getpid(), number)
  assert signal.getsignal(number) == before
  assert stop_signals.has_unwound()
  with stop_signals.unwinding():
    assert not stop_signals.has_unwound()


def test_what_is_ignored_stays_so():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with stop_signals.unwinding():
      os.kill(os.getpid(), signal.SIGHUP)
  finally:
    signal.signal(signal.SIGHUP, before)


def _is_stopped_in(work):
  def go_on():
    work()
    time.sleep(10)

  with pytest.raises(KeyboardInterrupt), stop_signals.unwinding():
    go_on()


def test_a_stop_while_garbage_is_collected_is_not_lost(capsys):
  ask = _once(signal.SIGTERM)
  gc.callbacks.append(ask)
  try:
    _is_stopped_in(gc.collect)
  finally:
    gc.callbacks.remove(ask)
  assert capsys.readouterr().err == ''


def test_a_stop_while_an_object_is_deleted_is_not_lost(capsys):
  class Deleted:
    __del__ = _once(signal.SIGINT)

  _is_stopped_in(Deleted)
  assert capsys.readouterr().err == ''


def test_other_errors_in_callbacks_are_told(capsys):
  class Deleted:
    def __del__(self):
      raise ZeroDivisionError

  with stop_signals.unwinding():
    Deleted()
  assert 'ZeroDivisionError' in capsys.readouterr().err


def test_what_a_library_makes_of_a_stop_is_told_as_one(monkeypatch, capsys):
  def run(*_):
    try:
      os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as error:
      raise ImportError('while initializing the extension') from error

  monkeypatch.setattr(methods, 'run', run)
  assert cli.main(['methods']) == 130
  assert capsys.readouterr().err == 'jaxssl: stopped\n'


def _child(*arguments, path=ROOT):
  return subprocess.Popen(
    [sys.executable, *arguments],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(path)},
    stderr=subprocess.PIPE,
    text=True,
  )


# Where the exception went through `exec`, `python -m` ends as if killed.
_STOPPED = """
import os, signal
from jaxssl.__main__ import program
from jaxssl.commands import methods
def run(*_):
  exec('os.kill(os.getpid(), signal.SIGINT)', globals())
methods.run = run
program()
"""


def test_the_exit_code_of_a_stop(tmp_path):
  (tmp_path / 'stopped.py').write_text(_STOPPED)
  child = _child('-m', 'stopped', 'methods', path=tmp_path)
  assert child.communicate(timeout=300)[1] == 'jaxssl: stopped\n'
  assert child.returncode == 130


_GOES_ON = 'stopped; the same command goes on'


@pytest.mark.parametrize(
  ('module', 'command', 'code', 'text'),
  [
    ('jaxssl.config.text', 'train', 42, _GOES_ON),
    ('numpy._core.numeric', 'adapt', 42, _GOES_ON),
    ('jax._src.core', 'eval', 130, 'stopped'),
    ('jax._src.core', 'train', 42, _GOES_ON),
    ('flax.core.scope', 'train', 42, _GOES_ON),
    ('jaxssl.build', 'train', 42, _GOES_ON),
  ],
)
def test_a_stop_while_libraries_are_imported(module, command, code, text):
  child = _child('-X', 'importtime', '-m', 'jaxssl', command, '--workdir=none')
  assert child.stderr is not None
  with child.stderr as lines:
    next(line for line in lines if line.split()[-1:] == [module])
    child.send_signal(signal.SIGINT)
    said = [line for line in lines if not line.startswith('import time:')]
  assert child.wait(60) == code, said
  assert said == [f'jaxssl: {text}\n']
