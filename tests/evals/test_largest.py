import jax
import numpy as np
import pytest

from jaxssl.evals.largest import largest


@pytest.mark.parametrize('k', [1, 5, 64])
def test_places_are_those_of_top_k(k):
  values = np.random.default_rng(0).standard_normal((9, 64), np.float32)
  expected = np.asarray(jax.lax.top_k(values, k)[1])
  np.testing.assert_array_equal(largest(values, k), expected)


@pytest.mark.parametrize('k', range(1, 9))
def test_of_equals_the_first_is_taken(k):
  values = np.array([[1, 2, 1, 2, 0, 2, 1, -np.inf]], np.float32)
  assert largest(values, k).tolist() == [[1, 3, 5, 0, 2, 6, 4, 7][:k]]
