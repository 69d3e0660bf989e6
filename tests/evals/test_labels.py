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


def test_splits_with_different_classes_are_a_user_error():
  rows = np.eye(2, dtype=np.float32), np.arange(2)
  with pytest.raises(errors.UserError, match="'dog' in train"):
    labels.num_classes_of(
      Features(*rows, ('cat', 'dog')), Features(*rows, ('cat', 'cow'))
    )
