import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals.ranks import _ranks, ranks


def reference(queries, bank, query_ids, bank_ids):
  """By a stable sort in float64."""
  unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)
  order = np.argsort(-(queries @ unit.T), axis=1, kind='stable')
  right = bank_ids[order] == query_ids[:, None]
  return right.argmax(axis=1)


@pytest.mark.parametrize('chunk', [4, 23, 100])
def test_ranks_equal_a_sort(chunk):
  draws = np.random.default_rng(0)
  # Small integers and lengths of 1, so that there are ties, exact in float32.
  queries = draws.integers(-2, 3, (23, 6)).astype(float)
  bank = np.eye(6)[draws.integers(0, 6, 40)]
  query_ids, bank_ids = np.arange(23), draws.permutation(np.arange(40) % 23)
  ours = ranks(
    queries, bank, query_ids=query_ids, bank_ids=bank_ids, chunk=chunk
  )
  expected = reference(queries, bank, query_ids, bank_ids)
  np.testing.assert_array_equal(ours, expected)


def test_lengths_do_not_matter():
  draws = np.random.default_rng(1)
  queries, bank = draws.normal(size=(5, 4)), draws.normal(size=(7, 4))
  ids = {'query_ids': np.arange(5), 'bank_ids': np.arange(7)}
  scaled = ranks(3 * queries, bank * np.arange(1, 8)[:, None], **ids)
  np.testing.assert_array_equal(scaled, ranks(queries, bank, **ids))


def test_a_query_without_an_answer_is_refused():
  with pytest.raises(errors.UserError, match='no right answer'):
    ranks(
      np.ones((1, 2)),
      np.ones((1, 2)),
      query_ids=np.array([1]),
      bank_ids=np.array([0]),
    )


@pytest.mark.parametrize('harmed', ['queries', 'bank'])
def test_a_row_that_is_not_finite_is_refused(harmed):
  rows = {'queries': np.ones((3, 2)), 'bank': np.eye(3, 2)}
  rows[harmed][1, 0] = np.nan
  ids = {'query_ids': np.arange(3), 'bank_ids': np.arange(3)}
  with pytest.raises(errors.UserError, match='not finite in 1 of 3 rows'):
    ranks(**rows, **ids)


@pytest.mark.parametrize('score', [np.nan, np.inf])
def test_a_score_that_is_nan_has_the_last_place(score):
  # Finite rows can overflow: infinity times zero is NaN in every column.
  queries, bank = np.full((2, 2), score), np.eye(3, 2)
  ids = np.array([0, 1]), np.arange(3)
  found = _ranks(*map(jnp.asarray, (queries, bank, *ids)))
  np.testing.assert_array_equal(found, [3, 3])
