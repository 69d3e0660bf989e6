"""Image-text pairs in TFRecord files, as img2dataset writes them."""

from collections.abc import Iterator, Sequence
import functools
from typing import Any

import numpy as np

from jaxssl.data import formats, remote, shards
from jaxssl.data.captions import Captions, as_texts
from jaxssl.data.formats import EXTENSIONS
from jaxssl.data.labels import as_text
from jaxssl.data.optional import tensorflow
from jaxssl.data.shard_index import ShardIndex, coded, packed
from jaxssl.data.source import fingerprint
from jaxssl.data.tfrecord import FOOTER, record_places, verified
from jaxssl.errors import UserError

DAMAGED = 'damaged records, which do not fit their checksums'
_PICTURES = ('image', *(ending.removeprefix('.') for ending in EXTENSIONS))


def tfrecord(
  path: str | Sequence[str],
  *,
  captions: Sequence[str] = ('caption',),
  label: str | None = None,
  split: str = 'train',
  test_fraction: float = 0.0,
) -> shards.Shards:
  """Opens TFRecord files of image-text pairs.

  Every record is a `tf.train.Example` with the encoded picture in a feature
  named by its format (`jpg`, `png`, `webp`, ...) or `image`, and its name in
  `key`. The first use of a file reads it once from end to end and keeps where
  records lie and their texts as an index in the cache folder. Records without a
  picture or without a caption, and damaged ones, are left out; the log counts
  and names them.

  Args:
    path: a file, a pattern, a range `{000..123}` of files, or several.
    captions: features that hold captions; all that a record has count.
    label: feature that holds the label; see `tar.tar`.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records that is held out for test.

  Returns:
    The source.

  Raises:
    UserError: for a file that is no TFRecord file of examples or is cut short,
      and if no record is left.
  """
  fields = (captions,) if isinstance(captions, str) else tuple(captions)
  return shards.Shards(
    shards.expand(path),
    scan=functools.partial(_scan, captions=fields, label=label),
    picture=_picture,
    settings=f'tfrecord {fields} {label} without {formats.missing()}',
    has_labels=label is not None,
    split=split,
    test_fraction=test_fraction,
  )


def _scan(
  path: str, captions: tuple[str, ...], label: str | None
) -> ShardIndex:
  places, checksums = record_places(path)
  kept, names, texts, labels = [], [], [], []
  skipped: dict[str, list[str]] = {
    fault: [] for fault in (shards.NO_CAPTION, shards.NO_PICTURE, DAMAGED)
  }
  for number, record in enumerate(_records(path, places)):
    if not record:
      skipped[DAMAGED].append(str(number))
      continue
    features = _features(record, path)
    name = next(iter(as_texts(_values(features, 'key'))), str(number))
    found = [t for f in captions for t in as_texts(_values(features, f))]
    unread = formats.fault_of_content(_content(features))
    if unread:
      skipped.setdefault(unread, []).append(name)
    elif not _content(features):
      skipped[shards.NO_PICTURE].append(name)
    elif not found:
      skipped[shards.NO_CAPTION].append(name)
    else:
      kept.append(number)
      names.append(name)
      texts.append(found)
      value = _values(features, label or '')
      labels.append(as_text(value, where=f'{path}:{name}'))
  label_texts, codes = coded(labels)
  return ShardIndex(
    names=packed(names),
    # With the checksum, which is verified whenever a record is read.
    places=places[kept] + [0, FOOTER],
    captions=Captions.from_texts(texts),
    labels=codes,
    label_texts=label_texts,
    skipped={fault: each for fault, each in skipped.items() if each},
    digest=fingerprint(checksums),
  )


def _records(path: str, places: np.ndarray) -> Iterator[bytes]:
  """Yields the records of a file, empty where they are damaged."""
  try:
    with remote.open_binary(path) as file:
      for offset, size in places.tolist():
        file.seek(offset)
        yield verified(file.read(size + FOOTER))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error


def _features(record: bytes, path: str) -> Any:
  tf = tensorflow()
  try:
    return tf.train.Example.FromString(record).features.feature
  # Protocol buffers raise another class in each implementation.
  except Exception as error:
    raise UserError(f'{path}: a record is no tf.train.Example') from error


def _picture(record: bytes) -> bytes:
  # A record that is damaged is empty, and has no picture.
  return _content(_features(verified(record), 'TFRecord'))


def _content(features: Any) -> bytes:
  for name in _PICTURES:
    if name in features and features[name].bytes_list.value:
      return features[name].bytes_list.value[0]
  return b''


def _values(features: Any, field: str) -> list[Any]:
  """Returns what a record has in a feature, which is of one type."""
  if field not in features:
    return []
  values = features[field]
  # They have 32 bits, and 0.1 is written 0.1.
  floats = [float(str(np.float32(v))) for v in values.float_list.value]
  return [*values.bytes_list.value, *values.int64_list.value, *floats]
