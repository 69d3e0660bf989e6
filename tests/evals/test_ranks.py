import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals.ranks import ranks


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
