"""Image-text pairs in large files, read in place by an index.

Nothing is extracted and nothing is streamed in a fixed order: an index of each
file (where every picture lies, its captions, its label) is made once and kept
in the user's cache folder, so that shuffling and resuming are arithmetic as for
every other source.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import glob
import logging
import os
import re
from typing import Literal

import numpy as np

from jaxssl.data import (
  hold_out,
  index_workers,
  kept_index,
  order,
  places,
  remote,
)
from jaxssl.data import labels as labels_lib
from jaxssl.data.byte_places import read_places
from jaxssl.data.cached_property import cached_property
from jaxssl.data.captions import warn_skipped
from jaxssl.data.group_order import GroupOrder
from jaxssl.data.identity import of_sample
from jaxssl.data.shard_index import ShardIndex, joined
from jaxssl.data.source import Records, fingerprint
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

_log = logging.getLogger(__name__)
_RANGE = re.compile(r'\{(\d+)\.\.(\d+)\}')
NO_CAPTION = 'pictures without a caption'
NO_PICTURE = 'captions without a picture'
TOO_LARGE = 'too large'

# Files, places [b, 2], and how many first bytes: see `read_places`.
ReadPlaces = Callable[[Sequence[str], np.ndarray, int | None], list[bytes]]


class Shards:
  """Pairs of several files.

  Args:
    paths: the files, in order.
    scan: makes the index of a file; something that `pickle` takes.
    picture: encoded picture of a record's bytes; None: they are the picture.
    read: gives the bytes at places of files.
    group_bytes: bytes of records that are held at once, where many have to be
      read to have one; they are shuffled among each other.
    settings: all that `scan` depends on besides the file.
    has_labels: whether records have labels.
    classes: names of the classes, where the files have them; labels are then
      their numbers.
    has_captions: whether they have captions, which each then needs.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records of each class that is held out by a
      hash of their pictures, see `hold_out.of_each_class`.

  Attributes:
    skipped: what is wrong -> how many records are left out for it.
    num_held_out: how many records `test_fraction` leaves for test.

  Raises:
    UserError: if a file cannot be read, or the split is empty.
  """

  content: Literal['bytes'] = 'bytes'

  def __init__(
    self,
    paths: Sequence[str],
    *,
    scan: kept_index.Scan,
    picture: Callable[[bytes], bytes] | None = None,
    read: ReadPlaces = read_places,
    group_bytes: int = 0,
    settings: str,
    has_labels: bool,
    classes: tuple[str, ...] | None = None,
    has_captions: bool = True,
    split: str,
    test_fraction: float,
  ):
    hold_out.check_split(split, test_fraction)
    self._paths, self._picture = tuple(paths), picture
    self._read_places = read
    self.name = paths[0] if len(paths) == 1 else f'{paths[0]} and others'
    self._states = [kept_index.state_of(path) for path in paths]
    index_workers.make(paths, self._states, scan, settings)
    whole, sizes, self._digests = joined(
      kept_index.of_file(path, state, scan, settings)
      for path, state in zip(paths, self._states, strict=True)
    )
    self.skipped = {fault: len(names) for fault, names in whole.skipped.items()}
    warn_skipped(self.name, whole.skipped)
    if not len(whole):
      counts = [f'{n} left out, {fault}' for fault, n in self.skipped.items()]
      why = f' ({"; ".join(counts)})' if counts else ''
      what = 'picture with a caption' if has_captions else 'picture'
      raise UserError(f'{self.name}: no {what} in it{why}')
    self._index, self._ends = whole, np.cumsum(sizes)
    self._labels = np.full(len(whole), labels_lib.UNKNOWN, np.int32)
    self.class_names = None
    if has_labels:
      self._labels, found = labels_lib.number(
        whole.label_texts, source=self.name, which=whole.labels
      )
      self.class_names = found and (classes or found)
    self._kept = np.arange(len(whole))
    self._kept = hold_out.of_each_class(
      _whole_names(paths, sizes, whole),
      whole.labels,
      split,
      test_fraction=test_fraction,
      read=self._pictures,
      source=self.name,
    )
    self.num_held_out = hold_out.num_held_out(len(whole), self._kept, split)
    self.num_examples = len(self._kept)
    self._labels = self._labels[self._kept]
    self.captions = whole.captions.take(self._kept) if has_captions else None
    self._order = None
    if whole.group_bytes:
      self._order = self._group_order(group_bytes)

  def _group_order(self, most_bytes: int) -> GroupOrder:
    """Returns the order of records that are read in groups."""
    group = self._index.places[self._kept, 0]
    file = self._file(self._kept)
    is_first = np.ones(len(group), bool)
    is_first[1:] = (np.diff(group) != 0) | (np.diff(file) != 0)
    largest = self._index.group_bytes
    if largest > most_bytes:
      _log.warning(
        '%s: a row group is of %d MiB, which are read for each picture in it; '
        'write the file again with smaller ones',
        self.name,
        largest >> 20,
      )
    return GroupOrder(
      np.flatnonzero(is_first),
      num_examples=self.num_examples,
      groups_at_once=max(1, most_bytes // largest),
    )

  @cached_property
  def identity(self) -> str:
    """Hash of what copies of it share; see `source.Source`."""
    return fingerprint(
      self._index.names.lines(self._kept),
      self._index.places[self._kept],
      self._labels,
      repr(self.class_names),
      *(self.captions.arrays.values() if self.captions else ()),
      *self._digests,
      # Of groups the digests tell all, and a sample would be gigabytes.
      '' if self._order else of_sample(self.num_examples, self._read),
    )

  @cached_property
  def fingerprint(self) -> str:
    """Hash that also changes when a file is written again."""
    return fingerprint(self.identity, *self._states)

  def _read(self, indices: np.ndarray, most: int | None = None) -> list[bytes]:
    rows = self._kept[indices]
    paths = [self._paths[number] for number in self._file(rows).tolist()]
    return self._read_places(paths, self._index.places[rows], most)

  def _pictures(
    self, rows: Sequence[int], *, most: int | None = None
  ) -> list[bytes]:
    """Returns encoded pictures, of each so many first bytes."""
    indices = np.array(rows, np.int64)
    if self._picture is None:
      return self._read(indices, most)
    return [self._picture(record)[:most] for record in self._read(indices)]

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    content = np.empty(len(indices), object)
    content[:] = self._pictures(indices.tolist())
    return Records(content=content, label=self._labels[indices])

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    if self._order:
      return self._order.locate(positions, seed=seed)
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the file and the name of a record."""
    row = self._kept[index]
    return f'{self._paths[self._file(row)]}:{self._index.name(row)}'

  def _file(self, rows: np.ndarray) -> np.ndarray:
    """Returns the numbers of the files that records lie in."""
    return np.searchsorted(self._ends, rows, side='right')


def _whole_names(
  paths: Sequence[str], sizes: Sequence[int], whole: ShardIndex
) -> Iterator[str]:
  """Yields a name of each record, with that of its file.

  Without it a hold-out of files that all count from 0 would be the same few
  numbers of each. Without the folder, so that moved files keep their splits.
  """
  row = 0
  for path, size in zip(paths, sizes, strict=True):
    file = os.path.basename(path)
    for _ in range(size):
      yield f'{file}/{whole.name(row)}'
      row += 1


def expand(path: str | Sequence[str]) -> list[str]:
  """Returns the files that a path stands for.

  Args:
    path: one or several of: a file; a pattern such as `part-*.tar`; a range of
      numbers such as `part-{000..123}.tar`.

  Raises:
    UserError: if one stands for no file, or a file of a range is missing.
  """
  paths = [path] if isinstance(path, str | os.PathLike) else list(path)
  files = []
  for entry in map(str, paths):
    patterns = _numbered(os.path.expanduser(entry))
    found = [_matching(pattern) for pattern in patterns]
    if not any(found):
      raise UserError(f'no file {entry}')
    missing = [p for p, each in zip(patterns, found, strict=True) if not each]
    if missing:
      raise UserError(
        f'{entry} names {len(missing)} files that do not exist, such as '
        f'{missing[0]}; name those that do'
      )
    files += sorted(file for each in found for file in each)
  return once(files)


def once(files: Iterable[str]) -> list[str]:
  """Returns files in their order, without those that came before.

  Records of a file that two patterns stand for do not count twice.
  """
  found: dict[str, str] = {}
  for file in files:
    found.setdefault(places.absolute(file), file)
  return list(found.values())


def _matching(pattern: str) -> list[str]:
  # A name with brackets is first of all a name.
  if not is_remote(pattern):
    return [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
  files = remote.filesystem(pattern)
  if files.isfile(pattern):
    return [pattern]
  return [files.unstrip_protocol(path) for path in files.glob(pattern)]


def _numbered(path: str) -> list[str]:
  match = _RANGE.search(path)
  if not match:
    return [path]
  first, last = match.groups()
  return [
    f'{path[: match.start()]}{number:0{len(first)}}{path[match.end() :]}'
    for number in range(int(first), int(last) + 1)
  ]
