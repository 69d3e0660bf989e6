import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.evals import linear_segmentation, settings
from jaxssl.evals.linear_segmentation import LinearSegmentation, cross_entropy
from tests.evals import colored

FEW = LinearSegmentation(steps=60, batch_size=4, warmup_steps=5)


def test_colours_are_told_apart():
  metrics = FEW.run(
    colored.encoder(), colored.pictures(8), colored.pictures(4, seed=1)
  )
  # Between two patches logits are interpolated: the edges are not exact.
  assert metrics['miou'] > 0.75
  assert metrics['num_pixels'] == 4 * 15 * 24
  assert (metrics['num_train'], metrics['num_test']) == (8, 4)
  assert {f'iou_{name}' for name in colored.NAMES} < metrics.keys()
  assert metrics['constant_miou'] < 0.2
  again = FEW.run(
    colored.encoder(), colored.pictures(8), colored.pictures(4, seed=1)
  )
  assert again == metrics


def test_the_loss_does_not_see_unknown_pixels():
  logits = np.random.default_rng(0).normal(size=(1, 2, 2, 3))
  classes = np.array([[[0, -1], [2, -1]]])
  expected = [
    np.log(np.exp(row).sum()) - row[label]
    for row, label in ((logits[0, 0, 0], 0), (logits[0, 1, 0], 2))
  ]
  found = cross_entropy(logits, classes)
  np.testing.assert_allclose(found, np.mean(expected), rtol=1e-5)
  assert cross_entropy(logits, np.full((1, 2, 2), -1)) == 0


def test_classes_that_do_not_fit_are_told():
  def run(train, test):
    FEW.run(colored.encoder(), train, test)

  ours, theirs = colored.pictures(2), colored.pictures(2, names=('x', 'y', 'z'))
  with pytest.raises(UserError, match='have other classes'):
    run(ours, theirs)
  with pytest.raises(UserError, match='there are 2 names'):
    run(colored.pictures(2, names=('x', 'y')), colored.pictures(2, names=()))
  one = colored.pictures(2)
  one.source.masks[:] = 1
  with pytest.raises(UserError, match='single class'):
    run(one, ours)


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('scale', (1.0,), 'smallest and the largest'),
    ('scale', (2.0, 1.0), 'smallest and the largest'),
    ('steps', 0, 'must be above 0'),
    ('learning_rate', 0.0, 'must be above 0'),
  ],
)
def test_settings_that_make_no_sense_are_told(name, value, message):
  with pytest.raises(UserError, match=message):
    LinearSegmentation(**{name: value})


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_versions():
  common = {
    'batch_size': 16,
    'weight_decay': 1e-4,
    'size': None,
    'side': None,
    'seed': 0,
  }
  assert settings.settings_of(LinearSegmentation()) == common | {
    'steps': 1000,
    'learning_rate': 0.01,
    'warmup_steps': 50,
    'scale': (1.0, 1.0),
  }
  assert settings.settings_of(linear_segmentation.DINOV2) == common | {
    'steps': 40_000,
    'learning_rate': 1e-3,
    'warmup_steps': 1500,
    'scale': (0.5, 2.0),
  }
