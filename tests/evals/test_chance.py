import numpy as np
import pytest

from jaxssl.evals import chance
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.retrieval import retrieval_eval


def _features(labels, names=()):
  return Features(np.zeros((len(labels), 2)), np.array(labels), names)


def test_most_frequent_class_of_training_counts_in_the_test_split():
  train, test = _features([0, 1, 1, 1, -1]), _features([1, 0, 0, 2, -1])
  assert chance.of(FrozenFeatures(train, test), {'top1': 0.9}) == {'top1': 0.25}


def test_classes_are_matched_by_name():
  train = _features([0, 0, 1], ('a', 'b'))
  test = _features([1, 1, 0], ('b', 'a'))
  assert chance.most_frequent(train, test) == pytest.approx(2 / 3)


def test_top_k_among_classes():
  metrics = {'top1': 0.5, 'top5': 0.9, 'num_classes': 4}
  assert chance.of((), metrics) == {'top1': 0.25, 'top5': 1.0}


def test_recalls_are_those_of_random_features():
  random = np.random.default_rng(0)
  images, texts = random.normal(size=(300, 8)), random.normal(size=(900, 8))
  owner = np.arange(900) % 300
  found = retrieval_eval(images, texts, owner, ks=(1, 10, 100))
  expected = chance.recalls(found)
  assert expected['text_to_image_r10'] == pytest.approx(10 / 300)
  assert expected.keys() == {n for n in found if not n.startswith('num_')}
  for name, value in expected.items():
    # Two deviations of a share of 300 queries, and a little.
    spread = (value * (1 - value) / 300) ** 0.5
    assert found[name] == pytest.approx(value, abs=3 * spread), name


def test_nothing_is_said_where_nothing_is_known():
  assert chance.of((), {'mse': 1.0}) == {}
