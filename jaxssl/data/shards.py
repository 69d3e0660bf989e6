"""Image-text pairs in large files, read in place by an index.

Nothing is extracted and nothing is streamed in a fixed order: an index of each
file (where every picture lies, its captions, its label) is made once and kept
in the user's cache folder, so that shuffling and resuming are arithmetic as for
every other source.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import glob
import hashlib
import json
import logging
import os
import pathlib
import re
from typing import Literal

import numpy as np

from jaxssl import npz_file
from jaxssl.data import hold_out, order, remote
from jaxssl.data import labels as labels_lib
from jaxssl.data.cached_property import cached_property
from jaxssl.data.captions import Captions, warn_skipped
from jaxssl.data.identity import of_sample
from jaxssl.data.source import Records, fingerprint
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

_log = logging.getLogger(__name__)
# In the name of every kept index: a change of what is indexed is a new number.
_VERSION = 4
_RANGE = re.compile(r'\{(\d+)\.\.(\d+)\}')
_DAMAGE = (OSError, ValueError, KeyError, TypeError)
NO_CAPTION = 'pictures without a caption'
NO_PICTURE = 'captions without a picture'
TOO_LARGE = 'too large'


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardIndex:
  """What one file holds.

  Attributes:
    names: name of each record.
    places: offset and size of each record, int64 [n, 2].
    captions: captions of each record.
    labels: label of each record as `labels.as_text` has it.
    skipped: what is wrong -> names of records that are left out.
    digest: hash of the content, where all of it was read.
  """

  names: Sequence[str]
  places: np.ndarray
  captions: Captions
  labels: Sequence[str]
  skipped: dict[str, Sequence[str]]
  digest: str = ''

  def save(self, path: pathlib.Path) -> None:
    """Writes it to a file."""
    lists = {
      name: getattr(self, name)
      for name in ('names', 'labels', 'skipped', 'digest')
    }
    arrays = {
      'places': self.places,
      'lists': np.frombuffer(json.dumps(lists).encode(), np.uint8),
      **self.captions.arrays,
    }
    npz_file.write(path, arrays)

  @classmethod
  def load(cls, path: pathlib.Path) -> 'ShardIndex':
    """Reads what `save` wrote."""
    arrays = npz_file.read(path)
    lists = json.loads(arrays.pop('lists').tobytes())
    places = arrays.pop('places')
    return cls(places=places, captions=Captions(**arrays), **lists)


class Shards:
  """Pairs of several files.

  Args:
    paths: the files, in order.
    scan: makes the index of a file.
    picture: encoded picture of a record's bytes; None: they are the picture.
    settings: all that `scan` depends on besides the file.
    has_labels: whether records have labels.
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
    scan: Callable[[str], ShardIndex],
    picture: Callable[[bytes], bytes] | None = None,
    settings: str,
    has_labels: bool,
    has_captions: bool = True,
    split: str,
    test_fraction: float,
  ):
    hold_out.check_split(split, test_fraction)
    self._paths, self._picture = tuple(paths), picture
    self.name = paths[0] if len(paths) == 1 else f'{paths[0]} and others'
    self._states = [_state(path) for path in paths]
    shards = [index_of(path, scan, settings) for path in paths]
    self._digests = [shard.digest for shard in shards]
    names = [name for shard in shards for name in shard.names]
    self._report(shards)
    if not names:
      counts = [f'{n} left out, {fault}' for fault, n in self.skipped.items()]
      why = f' ({"; ".join(counts)})' if counts else ''
      what = 'picture with a caption' if has_captions else 'picture'
      raise UserError(f'{self.name}: no {what} in it{why}')
    labels, self.class_names = self._numbered(shards, has_labels)
    sizes = [len(shard.names) for shard in shards]
    self._file = np.repeat(np.arange(len(paths)), sizes)
    self._places = np.concatenate([shard.places for shard in shards])
    kept = hold_out.of_each_class(
      list(_whole_names(paths, shards)),
      [label for shard in shards for label in shard.labels],
      split,
      test_fraction=test_fraction,
      read=self._pictures,
      source=self.name,
    )
    self.num_held_out = hold_out.num_held_out(len(names), kept, split)
    self.num_examples = len(kept)
    self._names = [names[i] for i in kept.tolist()]
    self._labels = labels[kept]
    self._file, self._places = self._file[kept], self._places[kept]
    self.captions = None
    if has_captions:
      self.captions = Captions.joined([s.captions for s in shards]).take(kept)

  def _numbered(
    self, shards: Sequence[ShardIndex], has_labels: bool
  ) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Returns the label of each record, and the names of the classes."""
    texts = [text for shard in shards for text in shard.labels]
    if not has_labels:
      return np.full(len(texts), labels_lib.UNKNOWN, np.int32), None
    return labels_lib.number(texts, source=self.name)

  def _report(self, shards: Sequence[ShardIndex]) -> None:
    """Sums up over the files what is left out, and says so."""
    found: dict[str, list[str]] = {}
    for shard in shards:
      for fault, names in shard.skipped.items():
        if names:
          found.setdefault(fault, []).extend(names)
    self.skipped = {fault: len(names) for fault, names in found.items()}
    warn_skipped(self.name, found)

  @cached_property
  def identity(self) -> str:
    """Hash of what copies of it share; see `source.Source`."""
    return fingerprint(
      '\n'.join(self._names),
      self._places,
      self._labels,
      repr(self.class_names),
      *(self.captions.arrays.values() if self.captions else ()),
      *self._digests,
      of_sample(self.num_examples, self._read),
    )

  @cached_property
  def fingerprint(self) -> str:
    """Hash that also changes when a file is written again."""
    return fingerprint(self.identity, *self._states)

  def _read(self, indices: np.ndarray, most: int | None = None) -> list[bytes]:
    paths = [self._paths[number] for number in self._file[indices].tolist()]
    places = self._places[indices]
    if most is not None:
      places = np.minimum(places, [np.iinfo(np.int64).max, most])
    return _read(paths, places)

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
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the file and the name of a record."""
    return f'{self._paths[self._file[index]]}:{self._names[index]}'


def _whole_names(
  paths: Sequence[str], shards: Sequence[ShardIndex]
) -> Iterator[str]:
  """Yields a name of each record, with that of its file.

  Without it a hold-out of files that all count from 0 would be the same few
  numbers of each. Without the folder, so that moved files keep their splits.
  """
  for path, shard in zip(paths, shards, strict=True):
    file = os.path.basename(path)
    for name in shard.names:
      yield f'{file}/{name}'


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
  return files


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


def cache_folder() -> pathlib.Path:
  """Where indices are kept: `$XDG_CACHE_HOME/jaxssl`, or `~/.cache/jaxssl`."""
  base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  return pathlib.Path(base).expanduser() / 'jaxssl'


def index_of(
  path: str, scan: Callable[[str], ShardIndex], settings: str
) -> ShardIndex:
  """Reads the kept index of a file, or makes and keeps it.

  Args:
    path: the file.
    scan: makes its index.
    settings: all that `scan` depends on besides the file.

  Raises:
    UserError: if the file cannot be read.
  """
  state = _state(path)
  place = path if is_remote(path) else os.path.abspath(path)
  words = repr((_VERSION, place, state, settings))
  digest = hashlib.sha256(words.encode())
  kept = cache_folder() / f'shard-{digest.hexdigest()[:32]}.npz'
  if kept.exists():
    try:
      return ShardIndex.load(kept)
    except _DAMAGE as e:
      _log.warning('%s is damaged (%s); reading %s again', kept, e, path)
  index = scan(path)
  try:
    index.save(kept)
  except UserError as error:
    _log.warning('the index of %s is not kept: %s', path, error)
  return index


def _state(path: str) -> str:
  """Returns what changes when a file does."""
  try:
    return f'{remote.size(path)} {remote.written(path)}'
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error


def _read(paths: Sequence[str], places: np.ndarray) -> list[bytes]:
  """Returns the bytes at some places of files, [b] paths and [b, 2]."""
  if is_remote(paths[0]):
    starts, sizes = places.T.tolist()
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return remote.read_places(paths, starts, ends)
  found: list[bytes] = [b''] * len(paths)
  for path in sorted(set(paths)):
    rows = [row for row, p in enumerate(paths) if p == path]
    for row, content in zip(rows, _read_file(path, places[rows]), strict=True):
      found[row] = content
  return found


def _read_file(path: str, places: np.ndarray) -> list[bytes]:
  """Returns the bytes at some places of a file of this machine."""
  try:
    with open(path, 'rb', buffering=0) as file:
      return [
        os.pread(file.fileno(), size, offset)
        for offset, size in places.tolist()
      ]
  except OSError:
    # An empty record is unreadable and is handled like any other such record.
    return [b''] * len(places)
