import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import labels, shift
from jaxssl.evals.features import Features

NAMES = ('cat', 'dog', 'fox')
# One-hot features of the class that a perfect classifier answers.
REFERENCE = Features(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 1]), NAMES)


def judge(features, among):
  """Answers the largest feature among the allowed classes."""
  answers = among[features.features[:, among].argmax(axis=1)]
  known = features.labels >= 0
  return labels.accuracies(answers[known], features.labels[known])


def run(shifted, class_map=None):
  protocol = shift.Shift(
    shifted=dict.fromkeys(shifted, 'data'), class_map=class_map
  )
  return protocol.run(judge, REFERENCE, shifted)


def features(rows, labels, names):
  return Features(np.eye(3)[list(rows)], np.array(labels), names)


def test_classes_go_by_their_names():
  # `fox` is number 0 here and 2 in the reference.
  found = run({'drawn': features((2, 1, 0), (0, 1, 2), ('fox', 'dog', 'cat'))})
  assert found['drawn'] == 1.0
  assert found['drawn_reference'] == 0.75
  assert found['drawn_classes'] == 3
  assert found['num_test'] == 3


def test_only_the_classes_of_the_set_may_be_answered():
  # The wrong answer `fox` is not allowed, so the reference has no mistake left
  # but the row of `dog` that looks like a fox, where `cat` comes first.
  found = run({'pets': features((0, 1), (0, 1), ('cat', 'dog'))})
  assert found['pets_classes'] == 2
  assert found['pets_reference'] == pytest.approx(2 / 3)


def test_map_renames_and_leaves_out():
  shifted = features((0, 1, 2), (0, 1, 2), ('kitty', 'dog', 'robot'))
  found = run({'a': shifted}, {'kitty': 'cat', 'dog': 'dog', 'robot': None})
  assert found['a_classes'] == 2
  assert found['a'] == 1.0


def test_mean_is_over_sets():
  good = features((0, 1, 2), (0, 1, 2), NAMES)
  bad = features((1, 2, 0), (0, 1, 2), NAMES)
  found = run({'good': good, 'bad': bad})
  assert (found['good'], found['bad'], found['top1']) == (1.0, 0.0, 0.5)
  assert found['good_mean_per_class'] == 1.0
  assert found['mean_per_class'] == 0.5


def test_a_set_of_a_single_class_is_refused():
  with pytest.raises(errors.UserError, match='pets split has a single class'):
    run({'pets': features((0, 1), (0, 0), ('cat', 'dog'))})


def test_nothing_in_common_is_refused():
  with pytest.raises(errors.UserError, match='shares no class'):
    run({'other': features((0,), (0,), ('tree',))})


def test_map_to_an_unknown_class_is_refused():
  with pytest.raises(errors.UserError, match="'cat'"):
    run({'a': features((0,), (0,), ('kitty',))}, {'kitty': 'catt'})


def test_robustness_of_sets_with_baselines():
  metrics = {'v2': 0.5, 'v2_reference': 0.6, 'a': 0.1, 'a_reference': 0.6}
  points = [(0.5, 0.4), (0.6, 0.5), (0.7, 0.6)]
  found = shift.robustness(metrics, {'v2': points})
  assert found.keys() == {'v2'}
  assert found['v2'] == pytest.approx(0, abs=0.01)
