import chex
import numpy as np
import pytest

from jaxssl.data import order
from jaxssl.errors import UserError


@pytest.mark.parametrize('count', [1, 2, 3, 5, 64, 1000, 4097])
def test_shuffle_is_a_bijection(count):
  shuffled = order.shuffle(np.arange(count), num_examples=count, key=7)
  np.testing.assert_array_equal(np.sort(shuffled), np.arange(count))


def test_shuffle_is_uniform_over_keys():
  # Each of 6 records must stand equally often at each of 6 places: chi-squared
  # over 36 cells has 25 degrees of freedom, 99.99 % of which are below 61.
  keys = order.mix64(np.arange(6000)).repeat(6)
  places = np.tile(np.arange(6), 6000)
  found = order.shuffle(places, num_examples=6, key=keys)
  table = np.zeros((6, 6))
  np.add.at(table, (places, found), 1)
  assert ((table - 1000) ** 2 / 1000).sum() < 61


def test_uniform_numbers_are_the_first_53_bits():
  places = np.arange(10_000)
  found = order.uniform(3, places)
  words = [int(word) >> 11 for word in order.mix64(3, places)]
  np.testing.assert_array_equal(found, [word / 2**53 for word in words])
  assert 0 <= found.min() < 0.01
  assert 0.99 < found.max() < 1


def test_neighbours_do_not_stay_neighbours():
  shuffled = order.shuffle(np.arange(5000), num_examples=5000, key=1)
  assert (np.abs(np.diff(shuffled)) == 1).mean() < 0.005
  correlation = np.corrcoef(np.arange(5000), shuffled)[0, 1]
  assert abs(correlation) < 0.05  # 3.5 standard errors of 1 / sqrt(5000)


def test_every_epoch_holds_every_record_once_in_its_own_order():
  epoch, index = order.locate(np.arange(3 * 50), num_examples=50, seed=3)
  np.testing.assert_array_equal(epoch, np.repeat([0, 1, 2], 50))
  epochs = index.reshape(3, 50)
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(50), (3, 1)))
  assert not np.array_equal(epochs[0], epochs[1])


def test_seeds_differ_and_may_be_negative():
  orders = [
    order.locate(np.arange(50), num_examples=50, seed=seed)[1].tolist()
    for seed in (0, 1, -1)
  ]
  assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize('processes', [1, 2, 4])
def test_global_order_does_not_depend_on_the_number_of_processes(processes):
  rows = [
    order.rows_of(5, batch_size=8, process_index=i, process_count=processes)
    for i in range(processes)
  ]
  np.testing.assert_array_equal(np.concatenate(rows), np.arange(40, 48))
  chex.assert_shape(rows, (8 // processes,))


def test_batch_that_does_not_divide_among_processes_is_refused():
  with pytest.raises(UserError, match='multiple of 3'):
    order.rows_of(0, batch_size=8, process_count=3)


def test_order_is_pinned():
  # A checkpoint resumes in this order: it must never change.
  _, index = order.locate(np.arange(8), num_examples=1000, seed=0)
  assert index.tolist() == [53, 357, 582, 875, 546, 48, 781, 113]
