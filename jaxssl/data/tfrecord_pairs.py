"""Image-text pairs in TFRecord files, as img2dataset writes them."""

from collections.abc import Sequence
from typing import Any

from jaxssl.data import remote, shards
from jaxssl.data.captions import Captions
from jaxssl.data.folder import EXTENSIONS
from jaxssl.data.optional import tensorflow
from jaxssl.data.tfrecord import record_places
from jaxssl.errors import UserError

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
  picture or without a caption are left out; the log counts and names them.

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
    scan=lambda file: _scan(file, fields, label),
    picture=_picture,
    settings=f'tfrecord {fields} {label}',
    has_labels=label is not None,
    split=split,
    test_fraction=test_fraction,
  )


def _scan(
  path: str, captions: tuple[str, ...], label: str | None
) -> shards.ShardIndex:
  places = record_places(path)
  kept, names, texts, labels = [], [], [], []
  without_caption, without_picture = [], []
  with remote.open_binary(path) as file:
    for number, (offset, size) in enumerate(places.tolist()):
      file.seek(offset)
      features = _features(file.read(size), path)
      name = next(iter(_texts(features, 'key')), str(number))
      found = [text for field in captions for text in _texts(features, field)]
      if not _content(features):
        without_picture.append(name)
      elif not found:
        without_caption.append(name)
      else:
        kept.append(number)
        names.append(name)
        texts.append(found)
        labels.append(next(iter(_texts(features, label or '')), ''))
  return shards.ShardIndex(
    names=names,
    places=places[kept],
    captions=Captions.from_texts(texts),
    labels=labels,
    skipped={
      shards.NO_CAPTION: without_caption,
      shards.NO_PICTURE: without_picture,
    },
  )


def _features(record: bytes, path: str) -> Any:
  tf = tensorflow()
  try:
    return tf.train.Example.FromString(record).features.feature
  # Protocol buffers raise another class in each implementation.
  except Exception as error:
    raise UserError(f'{path}: a record is no tf.train.Example') from error


def _picture(record: bytes) -> bytes:
  # A record that could not be read is empty, and has no picture.
  return _content(_features(record, 'TFRecord'))


def _content(features: Any) -> bytes:
  for name in _PICTURES:
    if name in features and features[name].bytes_list.value:
      return features[name].bytes_list.value[0]
  return b''


def _texts(features: Any, field: str) -> list[str]:
  if field not in features:
    return []
  values = features[field]
  found = [v.decode(errors='replace') for v in values.bytes_list.value]
  found += map(str, values.int64_list.value)
  return [text.strip() for text in found if text.strip()]
