import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import labels
from jaxssl.evals.features import Features


def test_labelled_drops_rows_without_label():
  data = Features(np.eye(3, dtype=np.float32), np.array([0, -1, 1]))
  found = labels.known(data, 'train')
  np.testing.assert_array_equal(found.features, np.eye(3)[[0, 2]])
  np.testing.assert_array_equal(found.labels, [0, 1])


def test_labelled_names_the_split_without_labels():
  data = Features(np.eye(3, dtype=np.float32), np.full(3, -1))
  with pytest.raises(errors.UserError, match='train split has a label'):
    labels.known(data, 'train')


ROWS = np.eye(4, dtype=np.float32)


def test_classes_of_the_test_split_are_matched_by_name():
  train = Features(ROWS, np.arange(4), ('ant', 'bee', 'cat', 'dog'))
  # Without the bee, and in another order.
  test = Features(ROWS, np.array([0, 1, -1, 2]), ('dog', 'cat', 'ant'))
  found = labels.of_both(train, test)
  np.testing.assert_array_equal(found.test.labels, [3, 2, 0])
  assert found.num_classes == 4


def test_a_class_that_the_training_split_lacks_is_refused():
  train = Features(ROWS, np.arange(4) % 2, ('cat', 'dog'))
  test = Features(ROWS, np.arange(4) % 3, ('cat', 'cow', 'dog'))
  with pytest.raises(errors.UserError, match="class 'cow', which the training"):
    labels.of_both(train, test)


def test_a_name_of_two_classes_is_no_match():
  train = Features(ROWS, np.arange(4), ('ant', 'crane', 'crane', 'dog'))
  test = Features(ROWS, np.arange(4) % 2, ('ant', 'crane'))
  with pytest.raises(errors.UserError, match="two classes are called 'crane'"):
    labels.of_both(train, test)
  assert labels.of_both(train, train).num_classes == 4


def test_mean_per_class_counts_every_class_alike():
  predicted, known = np.zeros(10, int), np.array([0] * 8 + [2, 2])
  found = labels.accuracies(predicted, known)
  assert found == {'top1': 0.8, 'mean_per_class': 0.5}


@pytest.mark.parametrize(('most', 'warns'), [(9, False), (10, True)])
def test_strong_imbalance_is_told(most, warns, caplog):
  labels._warn_once.cache_clear()
  labels.require_several(np.array([0] * most + [1]), 'test')
  assert ('differ much in size' in caplog.text) == warns


def test_classes_of_one_name_are_told(caplog):
  labels._warn_once.cache_clear()

  class Cranes:
    name = 'cranes'
    class_names = ('crane', 'ant', 'crane')

  labels.require(None, Cranes())
  assert "the same name: 'crane'" in caplog.text
