"""Small files of image-text pairs, in every layout."""

import functools
import io
import json
import tarfile

import numpy as np
from PIL import Image

COUNT = 9
KINDS = (
  'tar',
  'tfrecord',
  'csv',
  'tsv',
  'jsonl',
  'folder',
  'mixture',
  'parquet',
)


def picture(number: int, kind: str = 'PNG') -> bytes:
  """A picture of one colour, which names it."""
  stream = io.BytesIO()
  Image.new('RGB', (12 + number, 12), color(number)).save(stream, kind)
  return stream.getvalue()


def color(number: int) -> tuple[int, int, int]:
  return (20 * number % 256, 7 * number % 256, 255 - 20 * number % 256)


def number_of(pixels: np.ndarray) -> int:
  """The inverse of `color`, of a picture."""
  return int(pixels[0, 0, 0]) // 20


def texts(number: int) -> list[str]:
  return [f'picture {number}', f'number {number}', f'the {number}th']


def write_tar(path, members):
  """Members: (name, content) or a `TarInfo`, in order."""
  with tarfile.open(path, 'w') as file:
    for member in members:
      if isinstance(member, tarfile.TarInfo):
        file.addfile(member)
        continue
      name, content = member
      info = tarfile.TarInfo(name)
      info.size = len(content)
      file.addfile(info, io.BytesIO(content))
  return path


def record(number: int) -> list[tuple[str, bytes]]:
  """Members of a whole record of the WebDataset layout."""
  first, *others = texts(number)
  info = {'tags': others, 'group': 'odd' if number % 2 else 'even'}
  stem = f'part/{number:03}'
  return [
    (f'{stem}.png', picture(number)),
    (f'{stem}.txt', first.encode()),
    (f'{stem}.json', json.dumps(info).encode()),
  ]


def write_tfrecord(path, records):
  """Records: dicts from feature to bytes, integers, floats, or lists of one."""
  import tensorflow as tf

  def feature(value):
    values = value if isinstance(value, list) else [value]
    if any(isinstance(value, float) for value in values):
      return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if any(isinstance(value, int) for value in values):
      return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

  with tf.io.TFRecordWriter(str(path)) as writer:
    for values in records:
      features = {name: feature(value) for name, value in values.items()}
      example = tf.train.Example(features=tf.train.Features(feature=features))
      writer.write(example.SerializeToString())
  return path


def write_parquet(path, rows, features=None, **options):
  """Rows: dicts of columns; features: their description by `datasets`."""
  import pyarrow as pa
  import pyarrow.parquet as pq

  table = pa.Table.from_pylist(rows)
  if features is not None:
    described = json.dumps({'info': {'features': features}})
    table = table.replace_schema_metadata({'huggingface': described})
  pq.write_table(table, path, **options)
  return path


def rows_of(numbers):
  """Rows of an image data set of Hugging Face."""
  return [
    {
      'image': {'bytes': picture(i), 'path': f'{i:03}.png'},
      'label': i % 2,
      'text': texts(i),
    }
    for i in numbers
  ]


FEATURES = {
  'image': {'_type': 'Image'},
  'label': {'_type': 'ClassLabel', 'names': ['even', 'odd']},
  'text': {'_type': 'List', 'feature': {'_type': 'Value', 'dtype': 'string'}},
}


def _parquet(folder, **options):
  for name, numbers in (('0', range(5)), ('1', range(5, COUNT))):
    path = folder / f'train-{name}.parquet'
    write_parquet(path, rows_of(numbers), FEATURES, row_group_size=2, **options)
  return dict(name='parquet', path=str(folder), captions='text')


def write_pictures(folder, numbers):
  for number in numbers:
    (folder / f'{number:03}.png').write_bytes(picture(number))


def _tar(folder):
  middle = COUNT // 2
  for name, numbers in (('0', range(middle)), ('1', range(middle, COUNT))):
    members = [m for number in numbers for m in record(number)]
    write_tar(folder / f'part-{name}.tar', members)
  path = str(folder / 'part-{0..1}.tar')
  return dict(name='tar', path=path, captions=('txt', 'json.tags'))


def _tfrecord(folder):
  records = [
    {
      'jpg': picture(i),
      'caption': [t.encode() for t in texts(i)],
      'key': f'{i:03}'.encode(),
    }
    for i in range(COUNT)
  ]
  path = write_tfrecord(folder / 'pairs.tfrecord', records)
  return dict(name=str(path))


def _delimited(folder, delimiter, ending):
  write_pictures(folder, range(COUNT))
  lines = [delimiter.join(('image', 'caption'))]
  lines += [
    delimiter.join((f'{i:03}.png', f'"{text}"'))
    for i in range(COUNT)
    for text in texts(i)
  ]
  path = folder / f'pairs.{ending}'
  path.write_text('\n'.join(lines))
  return dict(name=str(path))


def _jsonl(folder):
  write_pictures(folder, range(COUNT))
  rows = [
    json.dumps({'image': f'{i:03}.png', 'caption': texts(i)})
    for i in range(COUNT)
  ]
  path = folder / 'pairs.jsonl'
  path.write_text('\n'.join(rows))
  return dict(name=str(path))


def _folder(folder):
  write_pictures(folder, range(COUNT))
  for i in range(COUNT):
    (folder / f'{i:03}.txt').write_text('\n'.join(texts(i)) + '\n')
  return dict(name='folder', path=str(folder), captions='txt')


def section(kind, folder):
  """Writes a source of `COUNT` pairs (twice, for a mixture) into a folder."""
  if kind == 'mixture':
    parts = []
    for name in ('tar', 'csv'):
      (folder / name).mkdir()
      parts.append(section(name, folder / name))
    return dict(name='mixture', sources=parts)
  if kind == 'csv':
    return _delimited(folder, ',', 'csv')
  if kind == 'tsv':
    return _delimited(folder, '\t', 'tsv')
  make = {
    'tar': _tar,
    'tfrecord': _tfrecord,
    'jsonl': _jsonl,
    'folder': _folder,
    # As `datasets` 5 and as its older versions write it.
    'parquet': functools.partial(_parquet, compression='none'),
    'snappy': _parquet,
  }
  return make[kind](folder)
