"""The order of records of which many have to be read to have one.

An epoch takes the groups in a random order, some at a time, and shuffles the
records of those among each other. So every group is read once an epoch, and it
is arithmetic as in `order`: nothing is streamed, and any step is found at once.
"""

import numpy as np

from jaxssl.data import order

_BLOCK = -1


class GroupOrder:
  """A shuffle within blocks of groups.

  Args:
    starts: number of the first record of each group, int64 [g], from 0.
    num_examples: number of all records.
    groups_at_once: groups of a block.
  """

  def __init__(
    self, starts: np.ndarray, *, num_examples: int, groups_at_once: int
  ):
    self._starts, self._num_examples = starts, num_examples
    self._sizes = np.diff(starts, append=num_examples)
    self._at_once = groups_at_once

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    epochs, places = np.divmod(
      np.asarray(positions, np.int64), self._num_examples
    )
    index = np.empty_like(places)
    for epoch in np.unique(epochs).tolist():
      mine = epochs == epoch
      index[mine] = self._of_epoch(places[mine], epoch=epoch, seed=seed)
    return epochs, index

  def _of_epoch(
    self, places: np.ndarray, *, epoch: int, seed: int
  ) -> np.ndarray:
    count = len(self._starts)
    key = order.mix64(seed, epoch)
    groups = order.shuffle(np.arange(count), num_examples=count, key=key)
    # Ends of the groups in this order, and of the blocks.
    ends = np.cumsum(self._sizes[groups])
    last = np.minimum(np.arange(self._at_once, count + self._at_once), count)
    block_ends = ends[np.unique(last[:: self._at_once]) - 1]
    blocks = np.searchsorted(block_ends, places, side='right')
    for block in np.unique(blocks).tolist():
      start, end = [0, *block_ends.tolist()][block : block + 2]
      mine = blocks == block
      places[mine] = start + order.shuffle(
        places[mine] - start,
        num_examples=end - start,
        key=order.mix64(seed, epoch, block, _BLOCK),
      )
    rank = np.searchsorted(ends, places, side='right')
    within = places - (ends - self._sizes[groups])[rank]
    return self._starts[groups[rank]] + within
