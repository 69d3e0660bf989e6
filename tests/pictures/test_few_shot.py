import numpy as np
from PIL import Image
import pytest

from jaxssl import errors
from jaxssl.pictures import few_shot

METRICS = {
  'top1': 0.75,
  'top1_16shot': 0.75,
  'std_16shot': 0.01,
  'top1_2shot': 0.5,
  'std_2shot': 0.05,
  'num_test': 10,
}


def test_points_are_in_order_and_in_per_cent():
  assert few_shot.shots_of(METRICS) == [(2, 50.0, 5.0), (16, 75.0, 1.0)]


def test_draws_lines_and_baselines(tmp_path):
  path = tmp_path / 'few_shot.png'
  few_shot.few_shot_curve(
    {'trained': METRICS, 'untrained': METRICS},
    path,
    baselines={'zero-shot': 0.6},
  )
  assert np.asarray(Image.open(path).convert('RGB')).std() > 5


@pytest.mark.parametrize('results', [{}, {'trained': {'top1': 0.5}}])
def test_nothing_to_draw_is_a_user_error(results, tmp_path):
  with pytest.raises(errors.UserError, match='eval fewshot'):
    few_shot.few_shot_curve(results, tmp_path / 'x.png')
