"""Which record stands at which place of the training stream.

The stream is an endless concatenation of epochs, each a shuffle of all records.
A batch is a slice of it, so that no record is lost where an epoch ends and a
batch may be larger than the data. Everything here is arithmetic on integers: no
state, no buffer, nothing to save but the step, and nothing that depends on the
number of hosts or on the version of a library.
"""

import numpy as np

from jaxssl.errors import UserError

# More rounds than the four that Luby and Rackoff need for ideal round
# functions, because the halves of a small data set have only a few bits.
_ROUNDS = 8


def mix64(*words: int | np.ndarray) -> np.ndarray:
  """Hashes integers to uniform 64-bit words (the SplitMix64 finalizer).

  Args:
    *words: integers or integer arrays that broadcast together; each further
      word is absorbed into the hash of those before it.

  Returns:
    uint64 array of the broadcast shape.

  Source: Steele, Lea and Flood, "Fast splittable pseudorandom number
  generators", OOPSLA 2014.
  """
  state = np.zeros((), np.uint64)
  with np.errstate(over='ignore'):
    for word in words:
      # Through int64 and not by a cast: negative seeds are legal.
      word = np.asarray(word).astype(np.int64).astype(np.uint64)
      state = (state ^ word) + np.uint64(0x9E3779B97F4A7C15)
      state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
      state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
      state = state ^ (state >> np.uint64(31))
  return np.asarray(state)


def uniform(*words: int | np.ndarray) -> np.ndarray:
  """Returns numbers in [0, 1), float64, of the first 53 bits of `mix64`.

  Args:
    *words: see `mix64`.
  """
  return (mix64(*words) >> np.uint64(11)) * 2.0**-53


def shuffle(
  position: np.ndarray, *, num_examples: int, key: int | np.ndarray
) -> np.ndarray:
  """Applies a pseudorandom bijection of 0 ... n-1, in O(1) memory.

  A balanced Feistel network over the smallest even number of bits that holds n,
  with cycle walking: a value outside 0 ... n-1 is encrypted again.

  Args:
    position: int64 [b], each in 0 ... n-1.
    num_examples: n.
    key: 64-bit words that choose the bijection, scalar or [b] (one per row).

  Returns:
    int64 [b], each in 0 ... n-1; for one key a bijection of `position`.

  Source: Luby and Rackoff, SIAM J. Comput. 17(2), 1988 (the network); Black and
  Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking).
  """
  half = max(1, (int(num_examples - 1).bit_length() + 1) // 2)
  values = np.asarray(position).astype(np.uint64)
  keys = np.broadcast_to(np.asarray(key), values.shape)
  outside = np.ones(values.shape, bool)
  while outside.any():
    values[outside] = _feistel(values[outside], keys[outside], half)
    outside = values >= np.uint64(num_examples)
  return values.astype(np.int64)


def _feistel(values: np.ndarray, keys: np.ndarray, half: int) -> np.ndarray:
  bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
  left, right = values >> bits, values & mask
  for number in range(_ROUNDS):
    left, right = right, left ^ (mix64(keys, number, right) & mask)
  return (left << bits) | right


def rows_of(
  step: int,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
) -> np.ndarray:
  """Returns the stream positions of one process's rows of a global batch.

  Row r of the global batch of `step` has position `step * batch_size + r`;
  process i owns the i-th of `process_count` equal runs of rows.

  Args:
    step: number of the batch, from 0.
    batch_size: rows in the global batch, over all processes.
    process_index: this process.
    process_count: number of processes.

  Returns:
    int64 [batch_size / process_count].

  Raises:
    UserError: if the batch cannot be split evenly.
  """
  if batch_size <= 0 or batch_size % process_count:
    raise UserError(
      f'batch size {batch_size} does not divide among {process_count} '
      f'processes; use a positive multiple of {process_count}'
    )
  rows = batch_size // process_count
  start = step * batch_size + process_index * rows
  return np.arange(start, start + rows, dtype=np.int64)


def locate(
  positions: np.ndarray, *, num_examples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the epoch and the record at each position of the stream.

  epoch = p // n, record = shuffle(p mod n) with a new bijection every epoch.

  Args:
    positions: int64 [b], from 0.
    num_examples: n, the number of records.
    seed: seed of the stream.

  Returns:
    `(epoch, index)`, int64 [b] each.
  """
  epoch, place = np.divmod(np.asarray(positions, np.int64), num_examples)
  index = shuffle(place, num_examples=num_examples, key=mix64(seed, epoch))
  return epoch, index
