import json

import numpy as np
from PIL import Image
import pytest

from jaxssl import errors
from jaxssl.pictures import curve


def write(path, points):
  path.write_text(''.join(json.dumps(p) + '\n' for p in points))
  return path


def is_drawn(path):
  pixels = np.asarray(Image.open(path).convert('RGB'))
  return pixels.std() > 5


@pytest.mark.parametrize('knn', [False, True])
def test_draws_with_and_without_online_knn(tmp_path, knn):
  points = [{'step': s, 'loss': 5 / s} for s in range(1, 40)]
  if knn:
    points += [{'step': s, 'knn/top1': s / 100} for s in (10, 20, 30)]
  metrics = write(tmp_path / 'metrics.jsonl', points)
  path = tmp_path / 'curve.png'
  curve.training_curve(metrics, path, baselines={'raw pixels': 0.3})
  assert is_drawn(path)


def test_lines_of_one_step_are_merged_and_the_later_counts(tmp_path):
  metrics = write(
    tmp_path / 'metrics.jsonl',
    [
      {'step': 2, 'loss': 1.0},
      {'step': 1, 'loss': 2.0},
      {'step': 2, 'knn/top1': 0.5},
      {'step': 2, 'loss': 3.0},
    ],
  )
  assert curve.read_points(metrics) == [
    {'step': 1, 'loss': 2.0},
    {'step': 2, 'loss': 3.0, 'knn/top1': 0.5},
  ]


def test_last_line_that_is_cut_off_is_left_out(tmp_path):
  metrics = write(tmp_path / 'metrics.jsonl', [{'step': 1, 'loss': 2.0}])
  metrics.write_text(metrics.read_text() + '{"step": 2, "lo')
  assert curve.read_points(metrics) == [{'step': 1, 'loss': 2.0}]


@pytest.mark.parametrize(
  'text', ['nonsense\n{"step": 1}\n', '{"loss": 1}\n{"step": 1}\n', '']
)
def test_log_without_loss_is_a_user_error(tmp_path, text):
  metrics = tmp_path / 'metrics.jsonl'
  metrics.write_text(text)
  with pytest.raises(errors.UserError, match='no loss to draw'):
    curve.training_curve(metrics, tmp_path / 'curve.png')


def test_missing_log_is_a_user_error(tmp_path):
  with pytest.raises(errors.UserError, match='cannot read'):
    curve.training_curve(tmp_path / 'none', tmp_path / 'curve.png')


def test_picture_that_cannot_be_written_is_a_user_error(tmp_path):
  metrics = write(tmp_path / 'metrics.jsonl', [{'step': 1, 'loss': 2.0}])
  with pytest.raises(errors.UserError, match=r'cannot write .*curve\.png'):
    # A folder that is not there is made; a file is no folder.
    curve.training_curve(metrics, metrics / 'curve.png')


def test_running_mean_equals_numpy():
  values = np.random.default_rng(0).normal(size=20)
  found = curve._running_mean(values, 5)
  np.testing.assert_allclose(
    found[4:], np.convolve(values, np.ones(5) / 5, mode='valid')
  )
  np.testing.assert_allclose(found[2], values[:3].mean())
