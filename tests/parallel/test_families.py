"""Two processes of four devices, one of eight, one device: the same run.

With SGD: where a gradient is zero but for rounding, Adam makes whole steps of
it, and parameters could be compared to the size of these steps only.
"""

import itertools
import json
import pathlib
import shutil

import chex
import numpy as np
import pytest

from benchmarks.faults import campaign, tiny_runs
from tests.commands import runs
from tests.parallel.joined import Pair

STEPS, IMAGES = 4, 64
# Learning rates as large as leave rounding small.
FAMILIES = {
  # At 0.1 the first gradient has norm 280.
  'simclr': (0.001, '--config.method.temperature=0.5'),
  # Rounding moves activations of its ResNet across kinks.
  'moco_v2': (1e-4,),
  'dino': (0.02,),
  'mae': (0.02,),
  # More pairs than the steps read, so that none comes twice.
  'clip': (0.02, '--config.data.crops_per_picture=8'),
}
# Sums over rows are ordered differently, and steps amplify it.
TOLERANCE = 2e-5


def _arguments(method, workdir, *more):
  rate, *settings = FAMILIES[method]
  data = 'photos' if method == 'clip' else 'digits'
  return [
    'train',
    f'--workdir={workdir}',
    f'--method={method}',
    f'--data={data}',
    *tiny_runs.METHODS[method],
    *settings,
    *runs.LENGTH,
    '--config.optim.name=sgd',
    f'--config.optim.learning_rate.start={rate}',
    '--config.optim.lr_scaling=none',
    '--config.optim.weight_decay=0',
    '--config.eval.steps=2',
    f'--config.eval.limit={IMAGES}',
    *more,
  ]


def _alone(method, workdir, devices, *more):
  here = f'--config.train.num_devices={devices}'
  assert runs.jaxssl(*_arguments(method, workdir, here, *more)) == 0
  return workdir


def _together(method, workdir, notes, monkeypatch, *more):
  """Two processes of four devices; returns what each read."""
  monkeypatch.setenv('NOTES', str(notes))
  notes.mkdir(exist_ok=True)
  everything = '--config.train.num_devices=None'
  codes, errors = Pair(
    _arguments(method, workdir, everything, *more),
    devices=4,
    module='tests.parallel.recorded',
  ).end()
  assert codes == [0, 0], errors
  return [json.loads((notes / f'{i}.json').read_text()) for i in range(2)]


def _column(workdir, name):
  return [r[name] for r in runs.metrics(workdir) if name in r]


def _assert_alike(workdir, other):
  losses = _column(workdir, 'loss')
  assert len(losses) == STEPS
  for name in ('loss', 'grad_norm'):
    np.testing.assert_allclose(
      _column(workdir, name), _column(other, name), rtol=1e-4, err_msg=name
    )
  ranks = (_column(each, 'effective_rank') for each in (workdir, other))
  np.testing.assert_allclose(*ranks, rtol=1e-3)
  # Neighbours as near as each other can change places for one image.
  scores = (_column(each, 'knn/top1') for each in (workdir, other))
  np.testing.assert_allclose(*scores, atol=1.01 / IMAGES)
  ours, theirs = (campaign.arrays(each, STEPS) for each in (workdir, other))
  assert 'params' in ' '.join(ours)
  # Momentum sums gradients, whose rounding is relative to the largest of them.
  largest = max([1.0, *(np.abs(x).max() for x in _momentum(theirs).values())])
  chex.assert_trees_all_close(
    _momentum(ours), _momentum(theirs), atol=TOLERANCE * largest
  )
  for each in (ours, theirs):
    for name in _momentum(each):
      del each[name]
  chex.assert_trees_all_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def _momentum(arrays):
  return {name: x for name, x in arrays.items() if '.trace.' in name}


def _assert_rows(notes, one):
  """In each step, the halves of the batch of one process, and no more."""
  first, second = notes
  halves = zip(first['order'][:STEPS], second['order'][:STEPS], strict=True)
  assert [a + b for a, b in halves] == one['order'][:STEPS]
  # Both ask the first record how large records are.
  assert set(first['reads']) & set(second['reads']) <= {0}
  assert set(first['reads']) >= set(itertools.chain(*first['order']))


def _noted_alone(method, workdir, notes, monkeypatch):
  """The order of one process, in this one."""
  from tests.parallel import recorded

  monkeypatch.setenv('NOTES', str(notes))
  notes.mkdir()
  arguments = _arguments(method, workdir, '--config.train.num_devices=8')
  with monkeypatch.context() as patched:
    patched.setattr('sys.argv', ['jaxssl', *map(str, arguments)])
    patched.setattr('jaxssl.data.train_batches', recorded.data.train_batches)
    assert recorded.main() == 0
  return json.loads((notes / '0.json').read_text())


def _drop_last(workdir: pathlib.Path) -> None:
  """As if it had been stopped after step 2."""
  shutil.rmtree(workdir / 'checkpoints' / str(STEPS))
  shutil.rmtree(workdir / 'export')


def _evaluated(workdir):
  limit = f'--limit={IMAGES}'
  assert runs.jaxssl('eval', 'knn', f'--workdir={workdir}', limit) == 0
  (path,) = (workdir / 'results').glob('knn*.json')
  return json.loads(path.read_text())['metrics']


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize('method', FAMILIES)
def test_processes_train_as_one_and_take_over(method, tmp_path, monkeypatch):
  eight, notes = tmp_path / 'eight', tmp_path / 'notes'
  order = _noted_alone(method, eight, tmp_path / 'one', monkeypatch)
  pair = tmp_path / 'pair'
  read = _together(method, pair, notes, monkeypatch)
  _assert_rows(read, order)
  _assert_alike(pair, eight)
  _assert_alike(pair, _alone(method, tmp_path / 'single', 1))
  ours, theirs = _evaluated(pair), _evaluated(eight)
  assert ours.keys() == theirs.keys()
  for name, value in ours.items():
    assert value == pytest.approx(theirs[name], abs=1.01 / IMAGES), name
  # One goes on with what two began, and two with what one began.
  _drop_last(pair)
  _assert_alike(_alone(method, pair, 8), eight)
  _drop_last(pair)
  _together(method, pair, notes, monkeypatch)
  _assert_alike(pair, eight)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize('method', ['simclr', 'dino'])
def test_device_view_on_processes(method, tmp_path, monkeypatch):
  pmap = '--config.train.mode=pmap'
  pair, notes = tmp_path / 'pair', tmp_path / 'notes'
  _together(method, pair, notes, monkeypatch, pmap)
  _assert_alike(pair, _alone(method, tmp_path / 'eight', 8, pmap))
