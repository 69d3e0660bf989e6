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
  scalars = _evaluation()(_towers(), 1)
  train, test = _features(_batches(24)), _features(_batches(16, seed=1))
  assert scalars['knn/top1'] == Knn(ks=(5,)).run(train, test)['top1'] == 1.0
  expected = collapse.indicators(jnp.asarray(test.features))
  for name, value in expected.items():
    np.testing.assert_allclose(scalars[name], value, rtol=1e-4)
  assert scalars.keys() == {'knn/top1', *expected}


def test_the_present_weights_are_used():
  evaluate = _evaluation(test_batches=None)
  before, after = evaluate(_towers(), 1), evaluate(_towers(0.0), 1)
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
  scalars = _evaluation(**changes)(_towers(), 1)
  assert scalars
  assert 'knn/top1' not in scalars


def _renumbered(numbers):
  """The queries, with the labels 0, 1 and 2 called other numbers."""
  numbers = np.asarray(numbers, np.int32)
  batches = _batches(16, seed=1)
  return [batch | {'label': numbers[batch['label']]} for batch in batches]


def test_classes_that_each_split_numbers_itself_meet_by_name():
  evaluate = _evaluation(
    train_names=('ant', 'bee', 'cow'),
    test_batches=functools.partial(_renumbered, [1, 2, 0]),
    test_names=('cow', 'ant', 'bee'),
  )
  assert evaluate(_towers(), 1)['knn/top1'] == 1.0


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    (
      {'test_batches': functools.partial(_renumbered, [0, 0, 0])},
      'test split has a single class',
    ),
    (
      {'train_names': ('ant', 'bee'), 'test_names': ('ant', 'bee', 'cow')},
      "has images of class 'cow', which the training split lacks",
    ),
  ],
)
def test_labels_that_do_not_suit_are_told_once_and_not_used(
  changes, reason, caplog
):
  evaluate = _evaluation(**changes)
  with caplog.at_level(logging.WARNING):
    looks = [evaluate.look(_towers(), step) for step in (0, 1)]
  for look in looks:
    assert look.right is None
    assert look.scalars
    assert 'knn/top1' not in look.scalars
  assert caplog.text.count(reason) == 1


def _constant():
  return [{'image': np.full((24, 4, 4, 3), 100, np.uint8)}]


def test_collapse_is_warned_of(caplog):
  with caplog.at_level(logging.WARNING):
    _evaluation(train_batches=_constant, test_batches=None)(_towers(), 1)
  assert 'collaps' in caplog.text


def test_the_encoder_is_compiled_once_for_all_evaluations():
  traces = []

  class Counted(MeanColour):
    def __call__(self, images, **kwargs):
      traces.append(images.shape)
      return MeanColour.__call__(self, images, **kwargs)

  evaluate = _evaluation(encoder=Counted())
  for weight in (1.0, 2.0):
    evaluate(_towers(weight), 1)
  assert traces == [(8, 4, 4, 3)]
  assert jax.device_count() == 8


def test_before_the_first_step_nothing_has_collapsed(caplog):
  with caplog.at_level(logging.WARNING):
    evaluate = _evaluation(train_batches=_constant, test_batches=None)
    scalars = evaluate(_towers(), 0)
  assert scalars['feature_std'] < collapse.MIN_STD
  assert not caplog.text
