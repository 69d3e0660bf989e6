"""Trackers: against a recorder, and against their packages where they are."""

import json
import os
import sqlite3
import subprocess
import sys
import types

import numpy as np
import pytest

from jaxssl import errors
from jaxssl.train import trackers
from jaxssl.train.writers import About, tagged

CONFIG = {'method': {'name': 'simclr'}, 'train': {'steps': 4, 'epochs': None}}
PICTURE = np.full((4, 6, 3), 9, np.uint8)


def _about(folder, **changes):
  return About(name='mine', config=CONFIG, directory=str(folder), **changes)


class _Recorder:
  """Stands for any object of a package, and keeps what is called."""

  def __init__(self, calls, path=''):
    self._calls, self._path = calls, path

  def __getattr__(self, name):
    if name == 'id' or name == 'run_id':
      return 'id7'
    return _Recorder(self._calls, f'{self._path}.{name}'.lstrip('.'))

  def __call__(self, *arguments, **named):
    self._calls.append((self._path, arguments, named))
    return self


@pytest.fixture(params=sorted(trackers.TRACKERS))
def recorded(request, monkeypatch):
  calls = []
  module = types.ModuleType(request.param)
  recorder = _Recorder(calls)
  module.__getattr__ = lambda name: getattr(recorder, name)
  monkeypatch.setitem(sys.modules, request.param, module)
  return request.param, calls


def test_each_gets_all_and_is_closed(recorded, tmp_path):
  name, calls = recorded
  about = _about(tmp_path, pictures={'views': PICTURE})
  id_path = tmp_path / 'id'
  writer = trackers.open_tracker(name, about, id_path, is_new=True)
  assert id_path.read_text()
  num_begun = len(calls)
  writer.write(3, {'loss': 0.5, 'knn/top1': 0.25})
  writer.sync()
  writer.close()
  text = repr(calls[num_begun:])
  for words in ('train/loss', 'knn/top1', '0.5', '0.25', '3'):
    assert words in text
  begun = repr(calls[:num_begun])
  for words in ('simclr', 'views'):
    assert words in begun
  ends = {'wandb': 'finish', 'mlflow': 'set_terminated', 'trackio': 'finish'}
  assert calls[-1][0].endswith(ends[name])


def test_a_resumed_run_is_found_again(recorded, tmp_path):
  name, calls = recorded
  id_path = tmp_path / 'id'
  id_path.write_text('id-of-before')
  for is_new in (False, True):
    calls.clear()
    trackers.open_tracker(name, _about(tmp_path), id_path, is_new=is_new)
    assert ('id-of-before' in repr(calls)) is not is_new


@pytest.mark.parametrize('name', sorted(trackers.TRACKERS))
def test_a_missing_package_is_one_line(name, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(errors.UserError) as told:
    trackers.open_tracker(name, _about(tmp_path), tmp_path / 'id', is_new=True)
  assert str(told.value).endswith(f'pip install "jaxssl[{name}]"')
  assert not (tmp_path / 'id').exists()


@pytest.mark.parametrize('name', sorted(trackers.TRACKERS))
def test_what_cannot_begin_is_one_line(name, tmp_path, monkeypatch):
  def fail(*_):
    raise RuntimeError('no login\nmore')

  monkeypatch.setitem(trackers.TRACKERS, name, fail)
  with pytest.raises(errors.UserError, match=r'\(no login\)'):
    trackers.open_tracker(name, _about(tmp_path), tmp_path / 'id', is_new=True)


def test_a_failure_is_told_once_and_ends_nothing(tmp_path, monkeypatch, caplog):
  class Broken:
    run_id = 'x'

    def write(self, step, scalars):
      raise OSError('server is gone')

    sync = close = lambda self: self.write(0, {})

  monkeypatch.setitem(trackers.TRACKERS, 'wandb', lambda *_: Broken())
  writer = trackers.open_tracker(
    'wandb', _about(tmp_path), tmp_path / 'id', is_new=True
  )
  for step in range(3):
    writer.write(step, {'loss': 1.0})
  writer.sync()
  writer.close()
  assert caplog.text.count('server is gone') == 1


def test_groups():
  names = ('loss', 'grad_norm', 'knn/top1', 'effective_rank', 'input_wait')
  assert list(tagged(dict.fromkeys(names, 0.0))) == [
    'train/loss',
    'train/grad_norm',
    'knn/top1',
    'features/effective_rank',
    'speed/input_wait',
  ]


_SCRIPT = """
import sys
import numpy as np
import pathlib
from jaxssl.train import trackers
from jaxssl.train.writers import About
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
picture = np.full((4, 6, 3), 9, np.uint8)
for is_new, steps in ((True, (1, 2, 3)), (False, (3, 4))):
  about = About(
    name='mine', config={'method': {'name': 'simclr'}},
    pictures={'views': picture} if is_new else {}, directory=str(folder),
  )
  writer = trackers.open_tracker(name, about, folder / 'id', is_new=is_new)
  for step in steps:
    writer.write(step, {'loss': 1.0 / step, 'knn/top1': 0.25})
  writer.sync()
  writer.close()
"""


def _run_real(name, folder, **environment):
  """Writes a run in two parts, in a process without network and login."""
  pytest.importorskip(name)
  path = os.pathsep.join(sys.path)
  done = subprocess.run(
    [sys.executable, '-c', _SCRIPT, name, str(folder)],
    env={**os.environ, 'PYTHONPATH': path, **environment},
    cwd=folder,
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert 'does not take what is written' not in done.stderr
  return (folder / 'id').read_text()


@pytest.mark.slow
def test_mlflow_has_one_run_with_all(tmp_path):
  uri = f'sqlite:///{tmp_path}/flow.db'
  run_id = _run_real('mlflow', tmp_path, MLFLOW_TRACKING_URI=uri)
  with sqlite3.connect(tmp_path / 'flow.db') as base:
    runs = base.execute('select run_uuid, name, status from runs').fetchall()
    assert runs == [(run_id, 'mine', 'FINISHED')]
    rows = 'select step, value from metrics where key = "train/loss"'
    found = base.execute(f'{rows} order by step, timestamp').fetchall()
    assert found == [(1, 1.0), (2, 0.5), (3, 1 / 3), (3, 1 / 3), (4, 0.25)]
    params = base.execute('select key, value from params').fetchall()
  assert params == [('method.name', 'simclr')]
  assert list(tmp_path.rglob('views.png'))


@pytest.mark.slow
def test_wandb_writes_offline(tmp_path):
  run_id = _run_real('wandb', tmp_path, WANDB_MODE='offline')
  folders = sorted((tmp_path / 'wandb').glob('offline-run-*'))
  assert folders
  assert all(folder.name.endswith(run_id) for folder in folders)
  content = b''.join(
    file.read_bytes() for f in folders for file in f.glob('*.wandb')
  )
  for words in (b'train/loss', b'knn/top1', b'simclr', b'views'):
    assert words in content


@pytest.mark.slow
def test_trackio_has_one_run_with_all(tmp_path):
  run_id = _run_real('trackio', tmp_path, TRACKIO_DIR=str(tmp_path / 'trackio'))
  (base,) = (tmp_path / 'trackio').glob('jaxssl*.db')
  with sqlite3.connect(base) as opened:
    rows = opened.execute(
      'select run_name, step, metrics from metrics order by id'
    ).fetchall()
  assert {name for name, _, _ in rows} == {run_id}
  losses = [
    (step, json.loads(text)['train/loss'])
    for _, step, text in rows
    if 'train/loss' in json.loads(text)
  ]
  assert losses == [(1, 1.0), (2, 0.5), (3, 1 / 3), (3, 1 / 3), (4, 0.25)]
