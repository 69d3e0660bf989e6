import numpy as np
import pytest

from jaxssl.data.arrays import Arrays
from jaxssl.data.mixture import Mixture, _counts
from jaxssl.errors import UserError


def _source(count, value, class_names=('a', 'b')):
  images = np.full((count, 4, 6, 3), value, np.uint8)
  return Arrays(images, np.full(count, 1), class_names=class_names)


def test_every_block_has_the_exact_composition():
  mixture = Mixture([_source(5, 0), _source(7, 1)], weights=[0.75, 0.25])
  _, index = mixture.locate(np.arange(40), seed=0)
  second = (index >= 5).reshape(-1, 4)
  np.testing.assert_array_equal(second.sum(axis=1), np.ones(10))
  assert len({tuple(row) for row in second.tolist()}) > 1


def test_each_source_runs_through_its_own_epochs():
  mixture = Mixture([_source(5, 0), _source(7, 1)], weights=[1, 1])
  epoch, index = mixture.locate(np.arange(70), seed=0)
  for low, high in ((0, 5), (5, 12)):
    mine = (index >= low) & (index < high)
    for number in range(35 // (high - low)):
      records = index[mine][epoch[mine] == number]
      np.testing.assert_array_equal(np.sort(records), np.arange(low, high))


def test_positions_are_independent_of_how_they_are_asked():
  mixture = Mixture([_source(5, 0), _source(7, 1)], weights=[2, 1])
  together = mixture.locate(np.arange(30), seed=4)
  one_by_one = [mixture.locate(np.array([p]), seed=4) for p in range(30)]
  for whole, parts in zip(together, zip(*one_by_one, strict=True), strict=True):
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_labels_need_equal_class_names():
  same = Mixture([_source(2, 0), _source(2, 1)])
  other = Mixture([_source(2, 0), _source(2, 1, ('c',))])
  assert same.fetch(np.arange(4)).label.tolist() == [1] * 4
  assert other.fetch(np.arange(4)).label.tolist() == [-1] * 4
  assert other.class_names is None


@pytest.mark.parametrize(
  ('weights', 'counts'),
  [
    ([1, 3], (1, 3)),
    ([0.1, 0.2, 0.7], (1, 2, 7)),
    ([1 / 3, 2 / 3], (1, 2)),
    ([3.14159, 1], (314159, 100000)),
    ([1e-9, 1], (1, 10**9)),
    ([50, 1_000_003], (50, 1_000_003)),
    ([1e-30, 1], (1, 2**53)),
  ],
)
def test_rows_of_a_block(weights, counts):
  assert _counts(weights) == counts


def test_sources_of_very_different_size_are_read_once_an_epoch():
  few, many = 50, 100_003
  mixture = Mixture([_source(few, 0), _source(many, 1)])
  _, index = mixture.locate(np.arange(few + many), seed=0)
  np.testing.assert_array_equal(np.sort(index), np.arange(few + many))
  # All over the epoch, not at its beginning or its end.
  places = np.flatnonzero(index < few)
  assert (np.histogram(places, bins=5, range=(0, len(index)))[0] > 2).all()


def test_small_blocks_have_the_order_that_they_always_had():
  mixture = Mixture([_source(5, 0), _source(7, 1)], weights=[3, 2])
  _, index = mixture.locate(np.arange(15), seed=3)
  assert index.tolist() == [4, 10, 6, 3, 0, 0, 2, 5, 7, 1, 2, 9, 3, 8, 1]


@pytest.mark.parametrize('weights', [[1, 0], [1, -1], [1], ['x', 1]])
def test_weights_that_do_not_fit_are_refused(weights):
  with pytest.raises(UserError, match='weights'):
    Mixture([_source(2, 0), _source(2, 1)], weights=weights)
