"""`jaxssl eval` on patch features."""

import json
import shutil

import pytest

from tests.commands import runs

DATA = ('--data=shapes', '--limit=6')
FEW = ('--steps=2', '--batch_size=2')
BASELINES = ['raw patch colours', 'untrained encoder']


@pytest.fixture
def run(finished_run, tmp_path):
  return shutil.copytree(finished_run, tmp_path / 'run')


def _evaluate(run, *arguments):
  return runs.jaxssl('eval', f'--workdir={run}', *DATA, *arguments)


def test_results_tables_and_baselines_of_two_splits(run, capsys):
  assert _evaluate(run, 'linear_segmentation', *FEW) == 0
  name = 'linear_segmentation-v1'
  path = run / 'results' / f'{name}-shapes.json'
  result = json.loads(path.read_text())
  assert result['protocol'] == name
  assert result['settings']['size'] == 32
  assert result['metrics']['num_test'] == 6
  assert list(result['baselines']) == BASELINES
  assert result['chance'].keys() == {'miou'}
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith(f'{name} on shapes, %')
  assert {'chance', 'trained encoder', *BASELINES} <= {
    line.split('  ')[0] for line in lines
  }


def test_results_of_the_others(run, capsys):
  plain = '--no_baselines'
  both = ('knn_segmentation', 'linear_depth', *FEW, '--bins=4')
  assert _evaluate(run, *both, plain) == 0
  assert _evaluate(run, 'discovery', 'correspondence', plain) == 0
  for name, metric, chance in (
    ('knn_segmentation-v1', 'miou', {'miou'}),
    ('linear_depth-v1', 'rmse', {'rmse', 'abs_rel', 'delta1'}),
    ('discovery-v1', 'corloc', {'corloc', 'mean_iou'}),
    ('correspondence-v1', 'pck', {'pck'}),
  ):
    path = run / 'results' / f'{name}-shapes.json'
    result = json.loads(path.read_text())
    assert metric in result['metrics']
    assert result['chance'].keys() == chance
  assert 'rmse' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('--size=7',), 'no whole patch of 8'),
    (('--side=16',), '--side is 16, and a window has 32'),
    (('--layer=cls',), 'none for its places'),
    (('--layer=blok00',), "did you mean 'block00'"),
  ],
)
def test_what_does_not_go_together_is_told(
  arguments, message, finished_run, capsys
):
  assert (
    _evaluate(
      finished_run, 'linear_segmentation', *FEW, '--no_baselines', *arguments
    )
    == 2
  )
  assert message in capsys.readouterr().err


def test_data_without_masks_is_told(finished_run, capsys):
  workdir, data = f'--workdir={finished_run}', '--data=digits'
  assert runs.jaxssl('eval', 'linear_segmentation', workdir, data, *FEW) == 2
  message = 'digits/train has no mask of its pictures'
  assert message in capsys.readouterr().err
