"""A test split of records that have none of their own."""

import collections
from collections.abc import Iterable, Iterator, Sequence
import hashlib
import itertools
import os
from typing import Protocol

import numpy as np

from jaxssl.errors import UserError, unknown

SPLITS = ('train', 'test', 'all')
# What is held out of a folder that names no splits, where nothing else is said.
SHARE = 0.1

# More pictures are told apart by their names: to open millions takes hours.
_MOST_READ = 20_000
_HEAD_BYTES = 1 << 14
_AT_ONCE = 256


class Read(Protocol):
  """Reads pictures by their numbers."""

  def __call__(
    self, rows: Sequence[int], *, most: int | None = None
  ) -> list[bytes]:
    """Returns so many first bytes of each; none where it cannot be read."""
    ...


def check_split(split: str, test_fraction: float) -> None:
  """Raises `UserError` for an unknown split or an impossible share."""
  if split not in SPLITS:
    raise unknown('split', split, SPLITS)
  if not 0 <= test_fraction < 1:
    raise UserError(f'test_fraction must be in [0, 1), not {test_fraction}')


def of_each_class(
  names: Iterable[str],
  labels: Sequence[str | None] | np.ndarray,
  split: str,
  *,
  test_fraction: float,
  read: Read,
  source: str,
) -> np.ndarray:
  """Returns which pictures belong to a split, the same share of each class.

  Pictures are sorted by a hash of their content, and the first ones of each
  class are held out: at least one, but not all. So copies stay together,
  whatever they are called, and one more picture moves at most one other. Only
  pictures that share their first 16 KiB are read whole. Of more than 20,000
  pictures it is a hash of the name, and nothing is read.

  Args:
    names: names of all files, which are looked at once, if at all.
    labels: class of each; None for none, which is a class here.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the pictures of each class that is held out.
    read: gives their content.
    source: what messages call the source.

  Returns:
    int64, the numbers of the pictures, in order.

  Raises:
    UserError: if there are none.
  """
  count = len(labels)
  if split == 'all' or (split == 'train' and test_fraction == 0):
    return np.arange(count)
  if test_fraction == 0:
    return _of_split(np.zeros(count, bool), split, source)
  ranks = _ranks(names, read, count)
  classes = _numbered(labels)
  by_class = np.lexsort((ranks, classes))
  ends = np.cumsum(np.bincount(classes)).tolist()
  held = np.zeros(count, bool)  # of each rank
  for start, end in itertools.pairwise([0, *ends]):
    found, counts = np.unique(ranks[by_class[start:end]], return_counts=True)
    held[found[: _first(counts, test_fraction * (end - start))]] = True
  return _of_split(held[ranks], split, source)


def num_held_out(count: int, kept: np.ndarray, split: str) -> int:
  """Returns how many of so many records the training split leaves for test."""
  return count - len(kept) if split == 'train' else 0


def _of_split(held: np.ndarray, split: str, source: str) -> np.ndarray:
  found = np.flatnonzero(held == (split == 'test'))
  if not found.size:
    raise UserError(
      f'{source}: split {split!r} is empty; hold pictures out with '
      f'--test_fraction {SHARE} (data.test_fraction of a config)'
    )
  return found


def _numbered(labels: Sequence[str | None] | np.ndarray) -> np.ndarray:
  """Returns the number of each class, from 0, without gaps."""
  if isinstance(labels, np.ndarray):
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
  number: dict[str | None, int] = {}
  found = (number.setdefault(label, len(number)) for label in labels)
  return np.fromiter(found, np.int32, len(labels))


def _ranks(names: Iterable[str], read: Read, count: int) -> np.ndarray:
  """Returns the place of each picture in the order of hashes, int32 [n].

  Copies have the same place.
  """
  if count > _MOST_READ:
    return _ranks_of_names(names)
  keys = [_digest(name).hex() for name in names]
  rows = list(range(count))
  for row, digest in _digests(rows, read, _HEAD_BYTES):
    keys[row] = digest
  # Pictures that are not compressed may begin with the same black rows.
  counts = collections.Counter(keys)
  rows = [row for row in rows if counts[keys[row]] > 1]
  for row, digest in _digests(rows, read, None):
    keys[row] += digest
  return np.unique(keys, return_inverse=True)[1].astype(np.int32)


def _ranks_of_names(names: Iterable[str]) -> np.ndarray:
  """Returns `_ranks` by names alone, of millions of them."""
  digests = bytearray()
  for name in names:
    digests += _digest(name)[:16]  # 128 bits tell all names apart
  words = np.frombuffer(digests, '>u8').reshape(-1, 2)
  order = np.lexsort((words[:, 1], words[:, 0])).astype(np.int32)
  first, second = words[order[:-1]], words[order[1:]]
  steps = (first != second).any(axis=1)
  ranks = np.zeros(len(order), np.int32)
  ranks[order[1:]] = np.cumsum(steps, dtype=np.int32)
  return ranks


def _digests(
  rows: Sequence[int], read: Read, most: int | None
) -> Iterator[tuple[int, str]]:
  """Yields row and hash of the content of those that can be read."""
  step = _AT_ONCE if most else 1
  for first in range(0, len(rows), step):
    some = rows[first : first + step]
    for row, content in zip(some, read(some, most=most), strict=True):
      if content:
        yield row, hashlib.sha256(content).hexdigest()


def _first(counts: np.ndarray, wanted: float) -> int:
  """Returns how many of the first keys have about so many pictures together.

  Args:
    counts: pictures of each key, in the order of the keys.
    wanted: number of pictures.
  """
  counts = counts[:-1]  # the last one always stays
  before = np.cumsum(counts) - counts
  enough = np.flatnonzero(before + counts / 2 > wanted)
  enough = enough[enough > 0]  # and the first one always goes
  return int(enough[0]) if enough.size else len(counts)


def _digest(name: str) -> bytes:
  text = name.replace(os.sep, '/').encode(errors='surrogateescape')
  return hashlib.sha256(text).digest()
