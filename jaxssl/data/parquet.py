"""Pictures in parquet files, as Hugging Face writes image data sets."""

from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import json
import os
import re
from typing import Any

import numpy as np

from jaxssl.data import (
  formats,
  hold_out,
  layout,
  places,
  remote,
  row_groups,
  shards,
)
from jaxssl.data.captions import Captions, as_texts, warn_skipped
from jaxssl.data.formats import EXTENSIONS
from jaxssl.data.labels import as_text
from jaxssl.data.optional import require
from jaxssl.data.shard_index import ShardIndex, coded, packed
from jaxssl.errors import UserError, first_of, unknown

ENDING = '.parquet'
NO_BYTES = 'records whose picture is not in the file'
OTHER_SPLIT = 'files of neither split'
_MIB = 1 << 20
_HUGGING_FACE = b'huggingface'
# `Value` is a column of plain bytes.
_PICTURES = ('Image', 'Value')
_UNCOMPRESSED = 'UNCOMPRESSED'


def parquet(
  path: str | Sequence[str],
  *,
  image: str | None = None,
  captions: str | Sequence[str] = (),
  label: str | None = None,
  split: str = 'train',
  test_fraction: float = 0.0,
  memory: int = 1024,
) -> shards.Shards:
  """Opens parquet files with a picture in each row.

  A picture is a structure with its bytes in a field `bytes`, or a binary value.
  The first use of a file reads it once and keeps an index in the cache folder.
  Where the column of pictures is not compressed, as `datasets` 5 writes it,
  each is then read by its place. Else a whole row group is read for it, and so
  many are held in memory and shuffled among each other, see `group_order`.

  In a folder, files are sorted by path. If names of files or of their folders
  say `train` and `test` (or `val`, `validation`), they are the splits, and
  `test_fraction` does not matter.

  Args:
    path: a file, a pattern, a range `{000..123}` of files, several of them, or
      a folder of files.
    image: column of the pictures; None: the one that there is.
    captions: columns with captions, texts or lists of texts; all that a row has
      count. Without columns no picture needs one.
    label: column of the class, see `labels`; None: the one that is a
      `ClassLabel` by the description that `datasets` writes into the file,
      which names the classes.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records of each class that is held out for test.
    memory: MiB of row groups that are held at once, where pictures are
      compressed. The order of the records depends on it.

  Returns:
    The source.

  Raises:
    UserError: for a file that is no parquet file, columns that are missing or
      of another type, labels beyond the classes, and if no record is left.
  """
  hold_out.check_split(split, test_fraction)
  if memory < 1:
    raise UserError(f'memory is {memory} MiB of row groups; it is at least 1')
  files, left = _of_split(_files(path), split)
  names = (captions,) if isinstance(captions, str) else tuple(captions)
  with row_groups.opened(files[0]) as file:
    columns = _columns(file, files[0], image, names, label)
  if left is not None:
    warn_skipped(files[0], {OTHER_SPLIT: left})
    split, test_fraction = 'all', 0.0
  source = shards.Shards(
    files,
    scan=functools.partial(_scan, columns=columns),
    read=row_groups.RowGroups(columns.image, memory * _MIB),
    group_bytes=memory * _MIB,
    settings=f'parquet {columns} without {formats.missing()}',
    has_labels=columns.label is not None,
    classes=columns.classes,
    has_captions=bool(names),
    split=split,
    test_fraction=test_fraction,
  )
  if left:
    source.skipped[OTHER_SPLIT] = len(left)
  return source


def is_folder(path: str) -> bool:
  """Tells whether a folder of this machine holds parquet files, no pictures."""
  found = False
  for name in places.place(path).files((ENDING, *EXTENSIONS)):
    if not name.lower().endswith(ENDING):
      return False
    found = True
  return found


def _files(path: str | Sequence[str]) -> list[str]:
  """Returns the files of a path, in order."""
  if not isinstance(path, str | os.PathLike):
    return shards.once(file for each in path for file in _files(each))
  root = places.place(path)
  if not root.is_dir():
    return shards.expand(path)
  found = sorted(root.files((ENDING,)))
  if not found:
    raise UserError(f'{path} has no file that ends in {ENDING}')
  return [root.describe(name) for name in found]


def _of_split(
  files: list[str], split: str
) -> tuple[list[str], list[str] | None]:
  """Returns the files of a split, and those of none.

  The latter are None where files do not name splits.
  """
  wholes = [places.absolute(file) for file in files]
  common = os.path.commonpath(wholes)
  words = [
    # The name of the file itself counts before those of its folders.
    [
      word
      for part in reversed(whole.removeprefix(common).split('/'))
      for word in re.split('[^a-z]+', part.lower())
    ]
    for whole in wholes
  ]
  first = [next((w for w in own if w in layout.SPLITS), None) for own in words]
  test = next((name for name in layout.TESTS if name in first), None)
  if layout.TRAIN not in first or test is None:
    return files, None
  wanted = {'train': {layout.TRAIN}, 'test': {test}, 'all': set(first)}[split]
  pairs = list(zip(files, first, strict=True))
  left = [f for f, own in pairs if own not in {layout.TRAIN, test}]
  return (
    [file for file, own in pairs if own in wanted],
    [] if split == 'all' else left,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Columns:
  """What is read of a file.

  Attributes:
    image: column of the pictures, down to their bytes.
    name: column of the names of their files, if there is one.
    captions: columns of the captions.
    label: column of the label.
    classes: names of the classes, where the file says them.
  """

  image: str
  name: str | None
  captions: tuple[str, ...]
  label: str | None
  classes: tuple[str, ...] | None


def _columns(
  file: Any,
  path: str,
  image: str | None,
  captions: tuple[str, ...],
  label: str | None,
) -> _Columns:
  schema = file.schema_arrow
  for name in filter(None, (image, *captions, label)):
    if name not in schema.names:
      raise unknown(f'column in {path}', name, schema.names)
  features = _features(schema.metadata or {})
  found = [f.name for f in schema if _is_picture(f.type, features.get(f.name))]
  if image is None:
    image = _only(found, f'{path}: pictures are in the columns', 'image')
  if image is None or image not in found:
    what = 'no column holds' if image is None else f'{image!r} does not hold'
    raise UserError(
      f'{path}: {what} bytes of pictures; a picture is binary, or a structure '
      f"with a binary field 'bytes'; columns: {_described(schema)}"
    )
  classes = {
    f.name: names
    for f in schema
    if _is_integer(f.type) and (names := _classes(features.get(f.name)))
  }
  if label is None:
    label = _only(list(classes), f'{path}: classes are in the columns', 'label')
  kind = schema.field(image).type
  fields = {f.name for f in kind} if _is_struct(kind) else set()
  return _Columns(
    image=f'{image}.bytes' if fields else image,
    name=f'{image}.path' if 'path' in fields else None,
    captions=captions,
    label=label,
    classes=classes.get(label or ''),
  )


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
  """Returns how `datasets` describes the columns; nothing if it does not."""
  try:
    found = json.loads(metadata[_HUGGING_FACE])['info']['features']
  except (LookupError, ValueError, TypeError):
    return {}
  return found if isinstance(found, dict) else {}


def _classes(feature: Any) -> tuple[str, ...] | None:
  is_class = isinstance(feature, dict) and feature.get('_type') == 'ClassLabel'
  return tuple(map(str, feature['names'])) if is_class else None


def _is_struct(kind: Any) -> bool:
  return require('pyarrow', extra='data').types.is_struct(kind)


def _is_integer(kind: Any) -> bool:
  return require('pyarrow', extra='data').types.is_integer(kind)


def _is_binary(kind: Any) -> bool:
  types = require('pyarrow', extra='data').types
  return types.is_binary(kind) or types.is_large_binary(kind)


def _is_picture(kind: Any, feature: Any) -> bool:
  """Tells whether a column may hold pictures, by its type."""
  if isinstance(feature, dict) and feature.get('_type') not in _PICTURES:
    return False
  if not _is_struct(kind):
    return _is_binary(kind)
  return any(f.name == 'bytes' and _is_binary(f.type) for f in kind)


def _only(names: list[str], what: str, key: str) -> str | None:
  """Returns the only name; None if there is none."""
  if len(names) > 1:
    raise UserError(
      f'{what} {first_of(names, 5, separator=", ")}; name one, such as '
      f'{key}={names[0]}'
    )
  return names[0] if names else None


def _described(schema: Any) -> str:
  kinds = [f'{field.name} ({field.type})' for field in schema]
  return first_of(kinds, 8, separator=', ')


def _scan(path: str, *, columns: _Columns) -> ShardIndex:
  with row_groups.opened(path) as file:
    image = columns.image.removesuffix('.bytes')
    if columns != _columns(file, path, image, columns.captions, columns.label):
      raise UserError(
        f'{path} has columns of other types, or other classes, than the first '
        'file; such files are a mixture of sources'
      )
    found = _places(file, path, columns.image)
    count = file.metadata.num_rows
    texts = [list[str]() for _ in range(count)]
    for name in columns.captions:
      for own, value in zip(texts, _column(file, name, count), strict=True):
        own += as_texts(value)
    names = _column(file, columns.name, count)
    labels = [
      as_text(value, where=f'{path}:{row}')
      for row, value in enumerate(_column(file, columns.label, count))
    ]
  _check_labels(labels, columns.classes, path)
  kept, skipped = [], dict[str, list[str]]()
  for row in range(count):
    fault = formats.fault_of_name(names[row] or '')
    if not found.sizes[row]:
      fault = NO_BYTES
    elif fault is None and columns.captions and not texts[row]:
      fault = shards.NO_CAPTION
    if fault is None:
      kept.append(row)
    else:
      skipped.setdefault(fault, []).append(str(row))
  label_texts, codes = coded([labels[row] for row in kept])
  return ShardIndex(
    names=packed(str(row) for row in kept),
    places=found.places[kept],
    captions=Captions.from_texts(texts[row] for row in kept),
    labels=codes,
    label_texts=label_texts,
    group_bytes=found.group_bytes,
    skipped=dict(skipped),
    digest=found.digest,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Found:
  """Where the pictures of a file are.

  Attributes:
    places: see `row_groups.RowGroups`, int64 [n, 2].
    sizes: bytes of each, int64 [n]; 0 where there is none.
    group_bytes: see `ShardIndex`.
    digest: hash of all, where they are read in groups.
  """

  places: np.ndarray
  sizes: np.ndarray
  group_bytes: int
  digest: str


def _places(file: Any, path: str, column: str) -> _Found:
  """Reads all pictures of a file, and finds where they are."""
  sizes, grouped, plain = [], [], []
  largest, digest = 0, hashlib.sha256()
  is_plain = True
  with remote.open_binary(path) as opened:
    for group in range(file.num_row_groups):
      found = row_groups.values(row_groups.pictures(file, column, group))
      for value in found:
        digest.update(len(value).to_bytes(8, 'little'))
        digest.update(value)
      sizes += map(len, found)
      largest = max(largest, sum(map(len, found)))
      grouped += [(-1 - group, row) for row in range(len(found))]
      if is_plain:
        own = _plain(opened, file.metadata.row_group(group), column, found)
        is_plain = own is not None
        plain += own or ()
  return _Found(
    places=np.array(plain if is_plain else grouped, np.int64).reshape(-1, 2),
    sizes=np.array(sizes, np.int64),
    group_bytes=0 if is_plain else max(largest, 1),
    digest='' if is_plain else digest.hexdigest(),
  )


def _plain(
  opened: Any, group: Any, column: str, found: list[memoryview]
) -> list[tuple[int, int]] | None:
  """Returns offset and size of the pictures of a row group in the file.

  None if they are stored in another way than as they are.
  """
  chunks = map(group.column, range(group.num_columns))
  chunk = next(c for c in chunks if c.path_in_schema == column)
  if chunk.compression != _UNCOMPRESSED:
    return None
  start = chunk.data_page_offset
  if chunk.has_dictionary_page:
    start = chunk.dictionary_page_offset
  opened.seek(start)
  content = opened.read(chunk.total_compressed_size)
  places = row_groups.places_in(content, [v for v in found if len(v)])
  if places is None:
    return None
  after = iter(places)
  below = [next(after) if len(value) else (0, 0) for value in found]
  return [(start + offset, size) for offset, size in below]


def _column(file: Any, name: str | None, count: int) -> list[Any]:
  """Returns the values of a column, or of a field of one; None without it."""
  if name is None:
    return [None] * count
  (column,) = file.read(columns=[name]).columns
  found = column.to_pylist()
  field = name.partition('.')[2]
  return [value and value[field] for value in found] if field else found


def _check_labels(
  labels: Sequence[str], classes: tuple[str, ...] | None, path: str
) -> None:
  if classes is None:
    return
  for row, text in enumerate(labels):
    if text and not -1 <= int(text) < len(classes):
      raise UserError(
        f'{path}:{row}: label {text} is none of the {len(classes)} classes '
        'that the file names'
      )
