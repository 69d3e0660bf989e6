"""A test split of records that have none of their own."""

import collections
from collections.abc import Iterator, Sequence
import hashlib
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
  names: Sequence[str],
  labels: Sequence[str | None],
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
    names: names of all files.
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
  if split == 'all' or (split == 'train' and test_fraction == 0):
    return np.arange(len(names))
  if test_fraction == 0:
    return _of_split(np.zeros(len(names), bool), split, source)
  keys = _keys(names, read)
  classes: dict[str | None, list[str]] = collections.defaultdict(list)
  for key, label in zip(keys, labels, strict=True):
    classes[label].append(key)
  held = set()
  for found in classes.values():
    held |= _first(collections.Counter(found), test_fraction * len(found))
  return _of_split(np.array([key in held for key in keys]), split, source)


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


def _keys(names: Sequence[str], read: Read) -> list[str]:
  """Returns a text of each picture by which copies are known."""
  keys = [_digest(name) for name in names]
  if len(names) > _MOST_READ:
    return keys
  rows = list(range(len(names)))
  for row, digest in _digests(rows, read, _HEAD_BYTES):
    keys[row] = digest
  # Pictures that are not compressed may begin with the same black rows.
  counts = collections.Counter(keys)
  rows = [row for row in rows if counts[keys[row]] > 1]
  for row, digest in _digests(rows, read, None):
    keys[row] += digest
  return keys


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


def _first(counts: collections.Counter[str], wanted: float) -> set[str]:
  """Returns the first keys that have about so many pictures together."""
  held: set[str] = set()
  number = 0
  for key in sorted(counts)[:-1]:  # the last one always stays
    if held and number + counts[key] / 2 > wanted:
      break
    held.add(key)
    number += counts[key]
  return held


def _digest(name: str) -> str:
  text = name.replace(os.sep, '/').encode(errors='surrogateescape')
  return hashlib.sha256(text).hexdigest()
