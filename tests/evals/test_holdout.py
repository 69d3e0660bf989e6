import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import holdout
from jaxssl.evals.features import Features


def make(counts):
  labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
  rows = np.arange(len(labels), dtype=np.float32)[:, None]
  return Features(rows, labels, ('a', 'b', 'c'))


def test_parts_are_all_rows_once_in_order():
  data = make([10, 25, 5])
  fit, held_out = holdout.stratified(data, share=0.3, seed=0)
  rows = np.concatenate([fit.features, held_out.features])
  np.testing.assert_array_equal(np.sort(rows, axis=0), data.features)
  assert (np.diff(fit.features, axis=0) > 0).all()
  assert fit.class_names == data.class_names


def test_each_class_gives_its_share():
  _, held_out = holdout.stratified(make([10, 25, 5]), share=0.2, seed=0)
  assert np.bincount(held_out.labels).tolist() == [2, 5, 1]


def test_every_class_stays_in_the_fit():
  fit, held_out = holdout.stratified(make([1, 2, 2]), share=0.9, seed=0)
  assert np.bincount(fit.labels).tolist() == [1, 1, 1]
  assert np.bincount(held_out.labels).tolist() == [0, 1, 1]


def test_seed_decides():
  first, again, other = (
    holdout.stratified(make([50, 50]), share=0.2, seed=s)[1].features
    for s in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


def test_single_rows_are_a_user_error():
  with pytest.raises(errors.UserError, match='two or more'):
    holdout.stratified(make([1, 1, 1]), share=0.2, seed=0)
