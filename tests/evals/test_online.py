import functools
import logging

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.evals import collapse, online
from jaxssl.evals.features import Features
from jaxssl.evals.knn import Knn


class MeanColour(nn.Module):
  """Features are the mean colour times a weight; nothing to compile."""

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    weight = self.param('weight', nn.initializers.ones, (3,))
    features = images.mean((1, 2)) * jnp.broadcast_to(weight, (len(images), 3))
    return features, {}


def _normalize(images):
  return images.astype(jnp.float32) / 255


def _batches(rows, seed=0, labelled=True):
  """Colours of three classes, with noise, in batches of eight."""
  random = np.random.default_rng(seed)
  labels = (np.arange(rows) % 3).astype(np.int32)
  colours = 40 + 170 * np.eye(3)[labels] + random.normal(0, 12, (rows, 3))
  images = np.broadcast_to(
    colours.clip(0, 255)[:, None, None], (rows, 4, 4, 3)
  ).astype(np.uint8)
  return [
    {
      'image': images[start : start + 8],
      'label': labels[start : start + 8] if labelled else np.full(8, -1),
    }
    for start in range(0, rows, 8)
  ]


def _evaluation(**changes):
  arguments = {
    'encoder': MeanColour(),
    'normalize': _normalize,
    'train_batches': functools.partial(_batches, 24),
    'test_batches': functools.partial(_batches, 16, seed=1),
    'k': 5,
  }
  return online.OnlineEvaluation(**(arguments | changes))


def _towers(weight=1.0):
  return {'encoder': {'params': {'weight': jnp.full(3, weight)}}}


def _features(batches):
  images = np.concatenate([batch['image'] for batch in batches])
  labels = np.concatenate([batch['label'] for batch in batches])
  means = (images / 255).mean((1, 2)).astype(np.float32)
  return Features(means, labels.astype(np.int32))


def test_knn_and_indicators_are_those_of_the_features():
  scalars = _evaluation()(_towers())
  train, test = _features(_batches(24)), _features(_batches(16, seed=1))
  assert scalars['knn/top1'] == Knn(ks=(5,)).run(train, test)['top1'] == 1.0
  expected = collapse.indicators(jnp.asarray(test.features))
  for name, value in expected.items():
    np.testing.assert_allclose(scalars[name], value, rtol=1e-4)
  assert scalars.keys() == {'knn/top1', *expected}


def test_the_present_weights_are_used():
  evaluate = _evaluation(test_batches=None)
  before, after = evaluate(_towers()), evaluate(_towers(0.0))
  assert before != after


@pytest.mark.parametrize(
  'changes',
  [
    {'test_batches': None},
    {'train_batches': functools.partial(_batches, 24, labelled=False)},
    {'test_batches': functools.partial(_batches, 16, labelled=False)},
  ],
)
def test_without_labels_there_are_indicators_only(changes):
  scalars = _evaluation(**changes)(_towers())
  assert scalars
  assert 'knn/top1' not in scalars


def test_collapse_is_warned_of(caplog):
  def constant():
    return [{'image': np.full((8, 4, 4, 3), 100, np.uint8)}]

  with caplog.at_level(logging.WARNING):
    _evaluation(train_batches=constant, test_batches=None)(_towers())
  assert 'collaps' in caplog.text


def test_only_some_rows_enter_the_indicators(monkeypatch):
  monkeypatch.setattr(online, '_COLLAPSE_ROWS', 8)
  seen = []
  indicators = collapse.indicators

  def spy(features):
    seen.append(len(features))
    return indicators(features)

  monkeypatch.setattr(collapse, 'indicators', spy)
  _evaluation()(_towers())
  assert seen == [8]


def test_the_encoder_is_compiled_once_for_all_evaluations():
  traces = []

  class Counted(MeanColour):
    def __call__(self, images, **kwargs):
      traces.append(images.shape)
      return MeanColour.__call__(self, images, **kwargs)

  evaluate = _evaluation(encoder=Counted())
  for weight in (1.0, 2.0):
    evaluate(_towers(weight))
  assert traces == [(8, 4, 4, 3)]
  assert jax.device_count() == 8
