"""A test split of records that have none of their own."""

import collections
from collections.abc import Iterable, Iterator
import hashlib
import os

import numpy as np

from jaxssl.errors import UserError, unknown

SPLITS = ('train', 'test', 'all')


def check_split(split: str, test_fraction: float) -> None:
  """Raises `UserError` for an unknown split or an impossible share."""
  if split not in SPLITS:
    raise unknown('split', split, SPLITS)
  if not 0 <= test_fraction < 1:
    raise UserError(f'test_fraction must be in [0, 1), not {test_fraction}')


def chosen(
  names: Iterable[str], split: str, *, test_fraction: float, source: str
) -> np.ndarray:
  """Returns which records belong to a split.

  A record is held out by a hash of its name, so that more records move none
  from one split to the other. Records of one name, which would all go the same
  way, are counted: the second one has another hash.

  Args:
    names: of all records, unique at best.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records that is held out.
    source: what messages call the source.

  Returns:
    int64, the numbers of the records, in order.

  Raises:
    UserError: if there are none.
  """
  names = list(names)
  if split == 'all' or (split == 'train' and test_fraction == 0):
    return np.arange(len(names))
  shares = map(_hash_share, _distinct(names))
  held = np.array([share < test_fraction for share in shares], bool)
  found = np.flatnonzero(held == (split == 'test'))
  if not found.size:
    raise UserError(f'{source}: split {split!r} is empty; set test_fraction')
  return found


def _distinct(names: Iterable[str]) -> Iterator[str]:
  seen: collections.Counter[str] = collections.Counter()
  for name in names:
    yield f'{name}\0{seen[name]}' if seen[name] else name
    seen[name] += 1


def _hash_share(name: str) -> float:
  """Hashes a path to [0, 1), equally on every system."""
  text = name.replace(os.sep, '/').encode(errors='surrogateescape')
  digest = hashlib.sha256(text).digest()
  return int.from_bytes(digest[:8], 'big') / 2**64
