"""Commands on a workdir of `gs://`, against the same on this machine."""

import json

import numpy as np
import pytest

from jaxssl import atomic_file, paths
from jaxssl.train import lease
from jaxssl.train.writers import JsonLines
from jaxssl.weights.exported import load_encoder
from tests import object_store
from tests.commands import runs

WORKDIR = 'gs://bucket/run'
SPEEDS = ('images_per_second', 'seconds', 'seconds_left', 'input_wait')


@pytest.fixture(scope='module', autouse=True)
def store():
  with object_store.running():
    yield


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(lease, 'BEAT', 0.2)


@pytest.fixture(scope='module')
def run(store):
  assert runs.train(WORKDIR, '--config.train.tensorboard=true') == 0
  return WORKDIR


def _read(name):
  return paths.make_path(f'{WORKDIR}/{name}').read_bytes()


def _metrics(text):
  lines = [json.loads(line) for line in text.splitlines()]
  return [{k: v for k, v in x.items() if k not in SPEEDS} for x in lines]


def _assert_equal(finished_run):
  for name in ('export/encoder.safetensors', 'export/encoder.json'):
    ours, theirs = _read(name), (finished_run / name).read_bytes()
    if name.endswith('json'):
      ours, theirs = (_without_hash(text) for text in (ours, theirs))
    assert ours == theirs
  metrics = (finished_run / 'metrics.jsonl').read_bytes()
  assert _metrics(_read('metrics.jsonl')) == _metrics(metrics)


def _without_hash(text):
  info = json.loads(text)
  del info['config_hash']  # of `train.tensorboard` too
  return info


def test_a_run_in_a_store_is_that_on_a_disk(run, finished_run):
  _assert_equal(finished_run)
  names = object_store.names('bucket/run')
  kept = {name.split('/')[2] for name in names}
  assert kept == {
    'config.json',
    'metrics.jsonl',
    'train.log',
    'tensorboard',
    'checkpoints',
    'export',
  }  # and no lock
  assert b'done: 4 steps' in _read('train.log')
  steps = {n.split('/')[3] for n in names if '/checkpoints/' in n}
  assert steps == {'2', '4'}


def test_evaluation_reads_and_writes_the_store(run, tmp_path):
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}', '--limit=40') == 0
  result = json.loads(_read('results/knn-v1-digits.json'))
  assert 0 <= result['metrics']['top1'] <= 1
  cached = [n for n in object_store.names('bucket/run/features')]
  assert cached
  out = tmp_path / 'a.npz'
  arguments = [f'--workdir={run}', f'--out={out}', '--limit=10', '--step=2']
  assert runs.jaxssl('embed', *arguments) == 0
  assert np.load(out)['features'].shape[0] == 10
  assert load_encoder(f'{run}/export').step == 4


def test_what_draws_into_the_workdir_asks_for_a_folder_here(run, capsys):
  for command in ('plot', 'visualize'):
    assert runs.jaxssl(command, f'--workdir={run}') == 2
    assert '--out DIR' in capsys.readouterr().err


def test_a_killed_run_goes_on(run, finished_run):
  """As `kill -9` after step 3 would leave it: steps 3 and 4 are lost."""
  for name in object_store.names('bucket/run'):
    if '/checkpoints/4/' in name or '/export/' in name:
      object_store.remove(name)
  text = _read('metrics.jsonl') + b'{"step": 5, "loss": '
  object_store.put('bucket/run/metrics.jsonl', text)
  object_store.put('bucket/run/lock', b'{"holder": "dead", "beats": 3}')
  assert runs.train(WORKDIR, '--config.train.tensorboard=true') == 0
  log = _read('train.log').decode()
  assert 'resuming from step 2' in log
  assert log.count('done: 4 steps') == 2  # it was added to
  _assert_equal(finished_run)


def test_a_damaged_checkpoint_is_set_aside(run, finished_run):
  for name in object_store.names('bucket/run/checkpoints/4/state'):
    if '/d/' in name:
      object_store.put(name, b'damage')
  for name in object_store.names('bucket/run/export'):
    object_store.remove(name)
  assert runs.train(WORKDIR, '--config.train.tensorboard=true') == 0
  assert object_store.names('bucket/run/checkpoints/4.damaged')
  _assert_equal(finished_run)


def test_two_processes_and_other_configs_are_refused(run, capsys):
  before = object_store.names('bucket/run')
  held = lease.Lease(paths.make_path(f'{run}/lock'))
  held.take()
  assert runs.train(WORKDIR) == 2
  assert 'another process is training in' in capsys.readouterr().err
  held.release()
  assert runs.train(WORKDIR, '--config.seed=7') == 2
  assert 'seed: 0 -> 7' in capsys.readouterr().err
  assert object_store.names('bucket/run') == before


def test_who_has_lost_the_lease_saves_nothing_more(monkeypatch, capsys):
  write = JsonLines.write
  lock = paths.make_path('gs://bucket/lost/lock')

  def take_it(self, step, scalars):
    write(self, step, scalars)
    if step == 3:
      atomic_file.write_text(lock, '{"holder": "other", "beats": 1}')

  monkeypatch.setattr(JsonLines, 'write', take_it)
  # Cut off: a beat that had read the lock before would take it back.
  monkeypatch.setattr(lease.Lease, '_beat', lambda self: None)
  assert runs.train('gs://bucket/lost') == 2
  assert 'another process is training in' in capsys.readouterr().err
  assert not object_store.names('bucket/lost/checkpoints/4/')
  assert object_store.names('bucket/lost/checkpoints/2/')
  assert 'other' in lock.read_text()


def test_a_store_that_refuses_is_told_in_a_line(monkeypatch, capsys):
  def refused(*_, **__):
    raise PermissionError('403: no access to bucket')

  monkeypatch.setattr(object_store.Store, '_open', refused)
  assert runs.train('gs://bucket/closed') == 2
  error = capsys.readouterr().err
  assert '403: no access to bucket' in error
  assert 'Traceback' not in error
  assert not object_store.names('bucket/closed')
