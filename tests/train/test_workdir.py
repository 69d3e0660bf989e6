import contextlib
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import jaxssl
from jaxssl import config as config_lib
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir, fixed_part

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


def _lose(path):
  shutil.rmtree(path)


def _begin_anew(path):
  shutil.rmtree(path)
  path.mkdir()
  (path / 'lock').touch()


def _replace_lock(path):
  (path / 'lock').unlink()
  (path / 'lock').touch()


@pytest.mark.parametrize('harm', [_lose, _begin_anew, _replace_lock])
def test_a_folder_that_is_of_another_run_now_is_noticed(harm, tmp_path):
  workdir = _claimed(tmp_path / 'run')
  workdir.check_lock()
  harm(tmp_path / 'run')
  with pytest.raises(UserError, match='was removed or begun anew'):
    workdir.check_lock()
  workdir.release()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
  (tmp_path / 'precious').write_text('text')
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'lock').symlink_to(tmp_path / 'precious')
  with pytest.raises(UserError, match="'lock' is a link"):
    Workdir(tmp_path / 'run').claim(CONFIG)
  assert (tmp_path / 'precious').read_text() == 'text'


def test_a_lock_is_not_emptied(tmp_path):
  (tmp_path / 'lock').write_text('text')
  _claimed(tmp_path).release()
  assert (tmp_path / 'lock').read_text() == 'text'


def test_a_name_that_is_a_pattern_is_refused_before_anything_is_made(tmp_path):
  with pytest.raises(UserError, match=r'with \[ in its path'):
    Workdir(tmp_path / 'run[1]').claim(CONFIG)
  assert not list(tmp_path.iterdir())


def test_a_lost_config_is_written_again_only_when_it_is_proved(tmp_path):
  (tmp_path / 'checkpoints' / '6').mkdir(parents=True)
  workdir = _claimed(tmp_path)
  assert not workdir.config_path.exists()
  workdir.keep_config(CONFIG)
  assert workdir.read_config() == CONFIG
  workdir.release()


def test_keys_that_came_later_are_no_other_config(tmp_path):
  _claimed(tmp_path).release()
  later = {**CONFIG, 'color': 'red'}
  workdir = Workdir(tmp_path)
  workdir.claim(later, complete=lambda old: {'color': 'red', **old})
  assert workdir.config_at_start(later) == CONFIG
  workdir.release()
  with pytest.raises(UserError, match=r"color: 'red' -> 'blue'"):
    workdir.claim(
      {**CONFIG, 'color': 'blue'}, complete=lambda old: {'color': 'red', **old}
    )


def test_what_may_change_is_no_part_of_what_a_checkpoint_is_of():
  config = {'seed': 0, 'train': {'steps': 10, 'keep': 3, 'mode': 'jit'}}
  assert fixed_part(config) == {'seed': 0, 'train': {'steps': 10}}


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


@pytest.mark.parametrize('text', ['{"data": "x"}', '{"data": {}, "eval": 3}'])
def test_a_config_whose_sections_are_none_is_damaged(text, tmp_path):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(UserError, match=r'config.json. is damaged'):
    Workdir(tmp_path).read_config()


def test_cut_and_changed_configs_are_read_or_told(tmp_path):
  config = schema.complete(
    config_lib.load_file(str(REPOSITORY / 'configs' / 'quickstart.py'))
  )
  workdir = _claimed(tmp_path, config)
  workdir.release()
  good, random = workdir.config_path.read_bytes(), np.random.default_rng(0)
  for trial in range(300):
    content = bytearray(good)
    for _ in range(random.integers(1, 4)):
      content[random.integers(len(content))] = random.integers(256)
    end = len(content) if trial % 3 else random.integers(len(content))
    workdir.config_path.write_bytes(content[:end])
    with contextlib.suppress(UserError):
      schema.complete(workdir.read_config())
    with contextlib.suppress(UserError):
      _claimed(tmp_path, config).release()


def test_log_goes_to_a_file(tmp_path):
  handler = Workdir(tmp_path).log_to_file()
  logging.getLogger('jaxssl.test').warning('hello')
  logging.getLogger().removeHandler(handler)
  handler.close()
  assert (tmp_path / 'train.log').read_text().endswith(' hello\n')


def test_made_longer_twice_at_one_step_it_is_still_the_first_run(tmp_path):
  """The second time after a stop that came before any checkpoint."""

  def config(steps):
    return {**DATA, 'train': {'steps': steps}}

  workdir = Workdir(tmp_path)
  workdir.claim(config(10))
  (workdir.checkpoints / '10').mkdir(parents=True)
  for steps in (20, 30):
    workdir.release()
    workdir.claim(config(steps), longer=True)
  assert workdir.config_at_start(config(30)) == config(10)
  assert workdir.read_config() == config(30)
  workdir.release()
