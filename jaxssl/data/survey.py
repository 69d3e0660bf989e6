"""What a source holds, found by reading all of it as evaluation does."""

from collections.abc import Callable
import concurrent.futures
import dataclasses
import hashlib
from typing import Literal

import numpy as np

from jaxssl.augment.bands import Bands, fields_of
from jaxssl.augment.preprocessing import usual
from jaxssl.data import decode, pipeline, raster
from jaxssl.data.captions import Captions
from jaxssl.data.places import read_file
from jaxssl.data.source import Records, Source

PIXELS, NO_PICTURE = 'pixels', 'no picture'
_KINDS = (*decode.FORMATS, PIXELS, NO_PICTURE)
_BATCH = 64
_READERS = 16
_SIDE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
  """What was found in n records: 30 bytes per record, and no pictures.

  Attributes:
    source: what was read.
    index: number of each record in the source, int64 [n].
    label: int32 [n], -1 where unknown.
    readable: whether it can be decoded completely, bool [n].
    digest: hash of what is stored, uint64 [n]; equal for copies.
    num_bytes: size of what is stored of each record in bytes, int64 [n].
    size: height and width before any rotation by EXIF, int32 [n, 2]; 0 where
      the header cannot be read.
    kind: number of its format, uint8 [n].
    reasons: name of each unreadable record -> what is wrong.
  """

  source: Source
  index: np.ndarray
  label: np.ndarray
  readable: np.ndarray
  digest: np.ndarray
  num_bytes: np.ndarray
  size: np.ndarray
  kind: np.ndarray
  reasons: dict[str, str]

  @property
  def formats(self) -> dict[str, int]:
    """How many records of each format there are, the most frequent first."""
    counts = np.bincount(self.kind, minlength=len(_KINDS))
    order = np.argsort(-counts, kind='stable')
    return {_KINDS[i]: int(counts[i]) for i in order.tolist() if counts[i]}

  @property
  def class_counts(self) -> np.ndarray:
    """Readable records of each class, int64 [classes]."""
    known = self.label[self.readable & (self.label >= 0)]
    return np.bincount(known, minlength=len(self.source.class_names or ()))

  @property
  def num_unlabelled(self) -> int:
    """Readable records without a label."""
    return int((self.readable & (self.label < 0)).sum())


def read(
  source: Source,
  *,
  bands: Bands | None = None,
  limit: int | None = None,
  progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
  """Reads and decodes every record once, in order, a batch at a time.

  Args:
    source: what to read.
    bands: how pictures are read; None: as 8-bit RGB.
    limit: read only so many records, evenly spread over the source.
    progress: called with the number of records that are read, and of all.
  """
  count = min(limit or source.num_examples, source.num_examples)
  index = np.arange(count) * source.num_examples // count
  seen = _Seen(source, index)
  reasons: dict[str, str] = {}
  batches = pipeline.eval_batches(
    seen,
    batch_size=_BATCH,
    preprocessing=usual(_SIDE, **fields_of(bands)),
    limit=count,
    on_bad=lambda name, reason: reasons.update({name: reason}),
  )
  readable = np.zeros(count, bool)
  for start, batch in zip(range(0, count, _BATCH), batches, strict=True):
    mask = batch['mask'][: count - start]
    readable[start : start + len(mask)] = mask
    progress(start + len(mask), count)
  return Survey(
    source=source, index=index, readable=readable, reasons=reasons, **seen.found
  )


def sizes(source: Source, *, limit: int) -> np.ndarray:
  """Returns height and width of some records by their headers, int [k, 2].

  Args:
    source: what to read.
    limit: so many records at most, evenly spread over the source.
  """
  count = min(limit, source.num_examples)
  index = np.arange(count) * source.num_examples // count
  content = source.fetch(index).content
  if source.content == 'paths':
    content = [*map(read_file, content.tolist())]
  found = [_look(each)[2] for each in content]
  return np.array(found, np.int32).reshape(-1, 2)


class _Seen:
  """A source that notes what the pipeline reads of it."""

  content: Literal['pixels', 'bytes', 'paths']
  captions: Captions | None

  def __init__(self, source: Source, index: np.ndarray):
    self._source, self._index = source, index
    self.content = 'pixels' if source.content == 'pixels' else 'bytes'
    self.name = source.name
    self.num_examples = source.num_examples
    self.class_names = source.class_names
    self.captions = None
    # Nothing that is kept depends on them, and they cost a look at every file.
    self.fingerprint = self.identity = ''
    count = len(index)
    self.found = {
      'label': np.full(count, -1, np.int32),
      'digest': np.zeros(count, np.uint64),
      'num_bytes': np.zeros(count, np.int64),
      'size': np.zeros((count, 2), np.int32),
      'kind': np.full(count, _KINDS.index(NO_PICTURE), np.uint8),
    }

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    records = self._source.fetch(indices)
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
      if self._source.content == 'paths':
        content = np.empty(len(indices), object)
        content[:] = list(pool.map(read_file, records.content.tolist()))
        records = dataclasses.replace(records, content=content)
      facts = list(pool.map(_look, records.content))
    rows = np.searchsorted(self._index, indices)
    self.found['label'][rows] = records.label
    names = ('digest', 'num_bytes', 'size', 'kind')
    for name, values in zip(names, zip(*facts, strict=True), strict=True):
      self.found[name][rows] = values
    return records

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return self._source.locate(positions, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return self._source.describe(index)


def _look(
  content: np.ndarray | bytes,
) -> tuple[np.uint64, int, tuple[int, int], int]:
  """Returns digest, bytes, height and width, and number of the format."""
  if isinstance(content, np.ndarray):
    stored = content.tobytes()
    kind, height, width = PIXELS, *content.shape[:2]
  else:
    stored = content
    kind, height, width = raster.header(content) or (NO_PICTURE, 0, 0)
  digest = hashlib.blake2b(stored, digest_size=8).digest()
  return (
    np.frombuffer(digest, np.uint64)[0],
    len(stored),
    (height, width),
    _KINDS.index(kind),
  )


def copies(first: Survey, second: Survey | None = None) -> np.ndarray:
  """Returns the records that are stored a second time, byte for byte.

  Args:
    first: where originals are looked up.
    second: whose records may be copies of them; None for `first` itself.

  Returns:
    int64 [k, 2]: row in `first` and row in `second` of each copy that can be
    read; of several originals the first.
  """
  originals = np.flatnonzero(first.readable)
  digests, place = np.unique(first.digest[originals], return_index=True)
  if not len(digests):
    return np.zeros((0, 2), np.int64)
  other = first if second is None else second
  rows = np.flatnonzero(other.readable)
  found = np.searchsorted(digests, other.digest[rows])
  found = np.minimum(found, len(digests) - 1)
  same = digests[found] == other.digest[rows]
  pairs = np.stack([originals[place[found]], rows], axis=1)[same]
  return pairs[pairs[:, 0] != pairs[:, 1]] if second is None else pairs
