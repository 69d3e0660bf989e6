import itertools

import numpy as np
import pytest

from jaxssl.ops.permutations import hamming_permutations


def _distances(permutations):
  pairs = itertools.combinations(permutations, 2)
  return [int((a != b).sum()) for a, b in pairs]


def test_rows_are_different_permutations():
  chosen = hamming_permutations(100)
  np.testing.assert_array_equal(
    np.sort(chosen, axis=1), np.tile(np.arange(9), (100, 1))
  )
  assert len(np.unique(chosen, axis=0)) == 100


@pytest.mark.parametrize('seed', [0, 1])
def test_a_hundred_of_nine_differ_in_six_places_or_more(seed):
  # No 73 permutations of 9 differ in 8 places each, since P(9, 2) = 72.
  distances = _distances(hamming_permutations(100, seed=seed))
  assert 6 <= min(distances) <= 7
  assert np.mean(distances) > 8.0


@pytest.mark.parametrize('num', [2, 3])
def test_the_first_few_differ_everywhere(num):
  assert set(_distances(hamming_permutations(num))) == {9}


def test_each_choice_is_a_farthest_one():
  everything = np.array(list(itertools.permutations(range(4))))
  chosen = hamming_permutations(10, length=4)
  for k in range(1, 10):
    to_chosen = (everything[:, None] != chosen[None, :k]).sum(-1)
    rank = to_chosen.min(1) * 1000 + to_chosen.sum(1)
    mine = (chosen[k] != chosen[:k]).sum(-1)
    assert mine.min() * 1000 + mine.sum() == rank.max()


def test_all_of_them_are_found():
  assert len(np.unique(hamming_permutations(24, length=4), axis=0)) == 24


def test_seeds_differ_and_repeat():
  first = hamming_permutations(10, length=5, seed=3)
  hamming_permutations.cache_clear()
  again = hamming_permutations(10, length=5, seed=3)
  other = hamming_permutations(10, length=5, seed=4)
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()
