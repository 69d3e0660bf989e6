"""`jaxssl eval`: what it prints and what it writes."""

import json
import os
import shutil

import numpy as np
from PIL import Image
import pytest

from tests.commands import runs


@pytest.fixture(scope='module')
def run(finished_run, tmp_path_factory):
  run = tmp_path_factory.mktemp('evaluated') / 'run'
  shutil.copytree(finished_run, run)
  return run


def _result(run, name):
  return json.loads((run / 'results' / f'{name}.json').read_text())


def _knn(run, *more):
  """The exit code of the shortest evaluation."""
  short = ('--limit=64', '--no_baselines')
  return runs.jaxssl('eval', 'knn', *more, f'--workdir={run}', *short)


def test_result_says_how_it_came_about(run):
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}', '--limit=64') == 0
  result = _result(run, 'knn-v1-digits')
  assert result['protocol'] == 'knn-v1'
  assert result['data'] == 'digits'
  assert result['step'] == 4
  assert result['seed'] == 0
  assert len(result['config_hash']) == 8
  assert 0 <= result['metrics']['top1'] <= 1
  assert {'jaxssl', 'jax'} <= result['versions'].keys()


def test_older_checkpoint(run):
  assert _knn(run, '--step=2') == 0
  assert _result(run, 'knn-v1-digits')['step'] == 2


def test_setting_is_recorded(run):
  assert _knn(run, '--ks', '3', '--temperature=1') == 0
  settings = _result(run, 'knn-v1-digits')['settings']
  assert settings['ks'] == [3]
  assert settings['temperature'] == 1.0


def test_chance_and_baselines_stand_in_the_table_and_in_the_result(run, capsys):
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}', '--limit=64') == 0
  table = capsys.readouterr().out
  names = ('chance', 'raw pixels', 'colour histogram', 'untrained encoder')
  for row in (*names, 'trained encoder'):
    assert row in table
  result = _result(run, 'knn-v1-digits')
  assert set(result['baselines']) == set(names[1:])
  for metrics in result['baselines'].values():
    assert metrics.keys() == result['metrics'].keys()
  assert 0 < result['chance']['top1'] < 0.3  # ten classes
  assert result['collapse'].keys() == {'feature_std', 'effective_rank'}


def test_the_trained_encoder_alone(run, capsys):
  assert _knn(run) == 0
  assert 'raw pixels' not in capsys.readouterr().out
  assert _result(run, 'knn-v1-digits')['baselines'] == {}


@pytest.mark.slow
def test_several_protocols_in_one_table(run, capsys):
  short = ('--limit=64', '--no_baselines')
  arguments = ('knn', 'logistic', f'--workdir={run}', *short)
  assert runs.jaxssl('eval', *arguments) == 0
  table = capsys.readouterr().out
  for column in ('knn-v1', 'logistic-v2'):
    assert column in table


def test_a_protocol_that_fails_hides_no_other(run, capsys):
  # Sixteen pictures of each class are not there.
  assert _knn(run, 'fewshot', 'logistic') == 2
  found = capsys.readouterr()
  assert 'fewshot was not run: ' in found.err
  for name in ('knn-v1', 'logistic'):
    assert name in found.out


def test_other_data_gets_a_file_of_its_own(run, picture_folder, tmp_path):
  folder = tmp_path / 'two_classes'
  for split in ('train', 'test'):
    for name in ('cats', 'dogs'):
      shutil.copytree(picture_folder, folder / split / name)
  assert _knn(run, f'--data={folder}') == 0
  assert _result(run, 'knn-v1-two_classes')['data'] == 'two_classes'


def test_features_of_other_pictures_are_not_reused(run, tmp_path):
  """Names, sizes and times of the files being the same."""
  generator, kept = np.random.default_rng(0), []
  for _ in range(2):
    for place in ('train/a', 'train/b', 'test/a', 'test/b'):
      for number in range(4):
        path = tmp_path / 'data' / place / f'{number}.bmp'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        os.utime(path, (1, 1))
    assert _knn(run, f'--data={tmp_path / "data"}') == 0
    path = run / 'features' / 'data-test-trained_encoder.npz'
    with np.load(path) as file:
      kept.append(file['features'])
  assert np.abs(kept[0] - kept[1]).max() > 0


def test_features_of_another_step_are_not_reused(run):
  kept = []
  for step in (2, 4):
    assert _knn(run, f'--step={step}') == 0
    path = run / 'features' / 'digits-test-trained_encoder.npz'
    with np.load(path) as file:
      kept.append(file['features'])
  # Accuracies of so few images can be equal.
  assert np.abs(kept[0] - kept[1]).max() > 0
