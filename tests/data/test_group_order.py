import numpy as np

from jaxssl.data.group_order import GroupOrder

SIZES = np.array([3, 1, 4, 2, 5, 6])
STARTS = np.cumsum(SIZES) - SIZES
COUNT = int(SIZES.sum())


def _order(at_once):
  return GroupOrder(STARTS, num_examples=COUNT, groups_at_once=at_once)


def test_an_epoch_has_every_record_once_and_another_order():
  for at_once in (1, 2, 4, 6, 100):
    epoch, index = _order(at_once).locate(np.arange(3 * COUNT), seed=1)
    np.testing.assert_array_equal(epoch, np.arange(3 * COUNT) // COUNT)
    epochs = index.reshape(3, COUNT)
    for one in epochs:
      assert sorted(one.tolist()) == list(range(COUNT))
    assert (epochs[0] != epochs[1]).any()
    other = _order(at_once).locate(np.arange(COUNT), seed=2)[1]
    assert (epochs[0] != other).any()


def test_a_block_holds_so_many_groups_and_mixes_them():
  _, index = _order(2).locate(np.arange(COUNT), seed=3)
  group = np.searchsorted(STARTS, index, side='right') - 1
  seen, blocks = set(), 0
  while len(group):
    own = list(dict.fromkeys(group.tolist()))[:2]
    size = SIZES[own].sum()
    assert set(group[:size].tolist()) == set(own)
    assert not seen & set(own)
    seen |= set(own)
    group, blocks = group[size:], blocks + 1
  assert blocks == 3
  _, index = _order(6).locate(np.arange(COUNT), seed=3)
  assert (np.diff(index) == 1).sum() < COUNT / 4


def test_any_position_is_found_alone():
  order = _order(2)
  positions = np.array([50, 3, 20, 21, 4])
  epoch, index = order.locate(positions, seed=4)
  for row, position in enumerate(positions.tolist()):
    one = order.locate(np.array([position]), seed=4)
    assert (one[0][0], one[1][0]) == (epoch[row], index[row])
