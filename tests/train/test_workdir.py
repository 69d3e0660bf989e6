import logging
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import jaxssl
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir

REPOSITORY = pathlib.Path(jaxssl.__file__).parent.parent
DATA = {'data': {'name': 'digits'}}
CONFIG = {**DATA, 'seed': 0, 'train': {'steps': 10}, 'scale': (0.2, 1.0)}


def _claimed(path, config=CONFIG):
  workdir = Workdir(path)
  workdir.claim(config)
  return workdir


def test_config_is_kept(tmp_path):
  workdir = _claimed(tmp_path / 'a' / 'run')
  assert workdir.read_config() == CONFIG
  workdir.release()
  _claimed(tmp_path / 'a' / 'run').release()  # the same config again


def test_naming_it_touches_nothing(tmp_path):
  workdir = Workdir(tmp_path / 'run')
  assert not workdir.path.exists()
  assert workdir.checkpoints == tmp_path / 'run' / 'checkpoints'


def test_another_config_is_named_and_the_lock_given_back(tmp_path):
  _claimed(tmp_path).release()
  changed = {**CONFIG, 'seed': 1, 'train': {'steps': 20}}
  with pytest.raises(UserError, match=r'seed: 0 -> 1; train.steps: 10 -> 20'):
    Workdir(tmp_path).claim(changed)
  _claimed(tmp_path).release()


def test_many_changes_are_counted(tmp_path):
  _claimed(tmp_path, DATA | {f'k{i}': i for i in range(5)}).release()
  with pytest.raises(UserError, match='and 2 more'):
    Workdir(tmp_path).claim(DATA | {f'k{i}': -1 for i in range(5)})


def test_two_runs_in_one_process(tmp_path):
  first = _claimed(tmp_path)
  with pytest.raises(UserError, match='another process is training in'):
    Workdir(tmp_path).claim(CONFIG)
  first.release()
  _claimed(tmp_path).release()


HOLD = """
import sys, time
from jaxssl.train.workdir import Workdir
workdir = Workdir(sys.argv[1])
workdir.claim({'data': {}})
print('held', flush=True)
time.sleep(600)
"""


def test_kill_frees_the_lock_of_another_process(tmp_path):
  process = subprocess.Popen(
    [sys.executable, '-c', HOLD, str(tmp_path)],
    stdout=subprocess.PIPE,
    cwd=REPOSITORY,
  )
  try:
    assert process.stdout.readline() == b'held\n'
    with pytest.raises(UserError, match='another process is training in'):
      Workdir(tmp_path).claim({'data': {}})
  finally:
    process.send_signal(signal.SIGKILL)
    process.communicate()
  _claimed(tmp_path, {'data': {}}).release()


def test_file_in_the_way(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write to workdir'):
    Workdir(tmp_path / 'file').claim(CONFIG)
  with pytest.raises(UserError, match='Not a directory'):
    Workdir(tmp_path / 'file' / 'run').claim(CONFIG)


def test_config_that_cannot_be_written(tmp_path, monkeypatch):
  def full(_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', full)
  with pytest.raises(UserError, match=r'cannot write .*config.json'):
    Workdir(tmp_path).claim(CONFIG)


def test_no_run_and_damaged_config(tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    Workdir(tmp_path).read_config()
  (tmp_path / 'config.json').write_text('{"seed": ')
  with pytest.raises(UserError, match=r'config.json. is damaged'):
    Workdir(tmp_path).read_config()


def test_log_goes_to_a_file(tmp_path):
  handler = Workdir(tmp_path).log_to_file()
  logging.getLogger('jaxssl.test').warning('hello')
  logging.getLogger().removeHandler(handler)
  handler.close()
  assert (tmp_path / 'train.log').read_text().endswith(' hello\n')
