"""Parquet files: columns, splits, row groups, and what is wrong with them."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import order, parquet, shards
from jaxssl.errors import UserError
from tests.data import pairs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _write(path, rows=None, features=pairs.FEATURES, **options):
  rows = pairs.rows_of(range(3)) if rows is None else rows
  return str(pairs.write_parquet(path, rows, features, **options))


def _all(source):
  return source.fetch(np.arange(source.num_examples))


@pytest.mark.parametrize('compression', ['none', 'snappy', 'zstd'])
@pytest.mark.parametrize('kind', ['struct', 'binary', 'dictionary'])
def test_pictures_and_labels_of_a_plain_file(kind, compression, tmp_path):
  rows = pairs.rows_of([0, 1, 2, 2, 1])  # twice: once in a dictionary
  if kind == 'binary':
    rows = [{**row, 'image': row['image']['bytes']} for row in rows]
  path = _write(
    tmp_path / 'a.parquet',
    rows,
    None if kind == 'binary' else pairs.FEATURES,
    compression=compression,
    use_dictionary=kind == 'dictionary',
  )
  label = 'label' if kind == 'binary' else None
  source = data.make_source('parquet', path=path, label=label)
  records = _all(source)
  assert records.content.tolist() == [pairs.picture(i) for i in (0, 1, 2, 2, 1)]
  assert records.label.tolist() == [0, 1, 0, 0, 1]
  names = ('0', '1') if kind == 'binary' else ('even', 'odd')
  assert source.class_names == names
  assert source.captions is None
  # By their places, unless they are compressed or stored once for several.
  is_plain = compression == 'none' and kind != 'dictionary'
  in_order = order.locate(np.arange(5), num_examples=5, seed=0)[1].tolist()
  found = source.locate(np.arange(5), seed=0)[1].tolist()
  assert (found == in_order) == is_plain
  assert source.describe(3) == f'{path}:3'


def test_classes_keep_the_order_of_the_file(tmp_path):
  features = {
    'image': {'_type': 'Image'},
    'label': {'_type': 'ClassLabel', 'names': ['z', 'b', 'a']},
  }
  rows = pairs.rows_of(range(4))
  for row, label in zip(rows, (2, -1, None, 0), strict=True):
    row['label'] = label
  source = data.make_source(_write(tmp_path / 'a.parquet', rows, features))
  assert source.class_names == ('z', 'b', 'a')
  assert _all(source).label.tolist() == [2, -1, -1, 0]


def test_names_of_files_are_splits(tmp_path, caplog):
  (tmp_path / 'data').mkdir()
  for name, numbers in (
    ('train-00000-of-00002', (0, 1)),
    ('train-00001-of-00002', (2,)),
    ('validation-00000-of-00001', (3, 4)),
    ('extra-00000-of-00001', (5,)),
  ):
    _write(tmp_path / 'data' / f'{name}.parquet', pairs.rows_of(numbers))
  found = {
    split: _all(data.make_source(str(tmp_path), split=split)).content.tolist()
    for split in ('train', 'test', 'all')
  }
  # Files are sorted by path: `extra` is the first.
  for split, numbers in (
    ('train', (0, 1, 2)),
    ('test', (3, 4)),
    ('all', (5, 0, 1, 2, 3, 4)),
  ):
    assert found[split] == [pairs.picture(i) for i in numbers]
  source = data.make_source(str(tmp_path), test_fraction=0.5)
  assert source.num_examples == 3  # the files say what is held out
  assert source.skipped == {parquet.OTHER_SPLIT: 1}
  assert 'extra-00000' in caplog.text


def test_files_are_named_in_any_way_and_read_once(tmp_path, monkeypatch):
  for number, name in enumerate(('train-0', 'test-0')):
    _write(tmp_path / f'{name}.parquet', pairs.rows_of(range(3 + number)))
  monkeypatch.chdir(tmp_path)
  whole = str(tmp_path / 'train-0.parquet')
  source = data.make_source([whole, 'train-*.parquet', 'test-0.parquet'])
  assert source.num_examples == 3


def test_a_share_is_held_out_where_no_split_is_named(tmp_path):
  path = _write(tmp_path / 'train.parquet', pairs.rows_of(range(10)))
  counts = [
    data.make_source(path, split=split, test_fraction=0.2).num_examples
    for split in ('train', 'test')
  ]
  assert counts == [8, 2]


def test_what_is_no_picture_is_counted(tmp_path):
  rows = pairs.rows_of(range(5))
  rows[1]['image'] = {'bytes': None, 'path': 'elsewhere.png'}
  rows[2]['image'] = None
  rows[3]['text'] = []
  rows[4]['image']['path'] = 'x.svg'
  for compression in ('none', 'snappy'):
    path = _write(tmp_path / 'a.parquet', rows, compression=compression)
    source = data.make_source(path, captions='text')
    svg = next(fault for fault in source.skipped if '.svg' in fault)
    assert source.skipped == {
      parquet.NO_BYTES: 2,
      shards.NO_CAPTION: 1,
      svg: 1,
    }
    assert _all(source).content.tolist() == [pairs.picture(0)]
  path = _write(tmp_path / 'b.parquet', [rows[1], rows[4]])
  with pytest.raises(UserError, match='1 left out, records whose picture'):
    data.make_source(path)


def _plain(rows, **changes):
  return [{**row, **changes} for row in rows]


ROWS = pairs.rows_of(range(2))


@pytest.mark.parametrize(
  ('rows', 'features', 'arguments', 'message'),
  [
    (ROWS, None, {'image': 'imgae'}, "did you mean 'image'"),
    (ROWS, None, {'captions': 'txet'}, "did you mean 'text'"),
    (ROWS, None, {'label': 'lable'}, "did you mean 'label'"),
    (ROWS, None, {'image': 'label'}, "'label' does not hold bytes"),
    ([{'x': 1}], None, {}, 'no column holds'),
    (_plain(ROWS, mask=b'x'), None, {}, 'columns image, mask; name one'),
    (
      _plain(ROWS, coarse=0),
      {**pairs.FEATURES, 'coarse': pairs.FEATURES['label']},
      {},
      'columns label, coarse; name one, such as label=label',
    ),
    (_plain(ROWS, label=7), pairs.FEATURES, {}, 'label 7 is none of the 2'),
    (ROWS, None, {'memory': 0}, 'at least 1'),
    (ROWS, None, {'split': 'val'}, 'unknown split'),
  ],
)
def test_mistakes_are_told_in_one_line(
  rows, features, arguments, message, tmp_path
):
  path = _write(tmp_path / 'a.parquet', rows, features)
  with pytest.raises(UserError, match=message) as error:
    data.make_source(path, **arguments)
  assert '\n' not in str(error.value)


def test_files_that_are_none_are_told(tmp_path):
  path = tmp_path / 'a.parquet'
  whole = pairs.write_parquet(path, ROWS, None).read_bytes()
  for content in (
    b'',
    b'no parquet' * 9,
    whole[:-20],
    whole[len(whole) // 2 :],
  ):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'a\.parquet'):
      data.make_source(str(path))
  _write(path)
  other = {**pairs.FEATURES, 'label': {'_type': 'ClassLabel', 'names': ['x']}}
  _write(tmp_path / 'b.parquet', ROWS[:1], other)
  with pytest.raises(UserError, match=r'b\.parquet has .* other classes'):
    data.make_source(str(tmp_path))


def test_pictures_beside_a_table_are_a_folder(tmp_path):
  _write(tmp_path / 'metadata.parquet')
  assert data.make_source(str(tmp_path)).num_examples == 3
  pairs.write_pictures(tmp_path, range(2))
  assert data.make_source(str(tmp_path)).content == 'paths'


def test_a_damaged_row_group_is_unreadable_and_no_other(tmp_path):
  path = tmp_path / 'a.parquet'
  _write(path, pairs.rows_of(range(6)), row_group_size=2)
  source = data.make_source(str(path))
  import pyarrow.parquet as pq

  chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
  whole = bytearray(path.read_bytes())
  start = chunk.dictionary_page_offset or chunk.data_page_offset
  whole[start : start + chunk.total_compressed_size] = bytes(
    chunk.total_compressed_size
  )
  path.write_bytes(whole)
  found = [bool(content) for content in _all(source).content]
  assert found == [True, True, False, False, True, True]


def test_a_file_of_the_same_content_has_the_same_identity(tmp_path):
  found = []
  for name, numbers in (('a', (0, 1)), ('b', (0, 1)), ('c', (0, 2))):
    (tmp_path / name).mkdir()
    path = _write(tmp_path / name / 'x.parquet', pairs.rows_of(numbers))
    found.append(data.make_source(path).identity)
  assert found[0] == found[1] != found[2]
