"""One rule for labels, in every source that takes them."""

import json
import math

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import labels
from jaxssl.errors import UserError
from tests.data import pairs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _written(value):
  return '' if value is None else str(value)


def _delimited(ending, delimiter):
  def make(folder, values):
    pairs.write_pictures(folder, range(len(values)))
    lines = [('image', 'caption', 'label')]
    lines += [(f'{i:03}.png', 'x', _written(v)) for i, v in enumerate(values)]
    path = folder / f'a.{ending}'
    path.write_text('\n'.join(map(delimiter.join, lines)))
    return dict(name=str(path), label='label')

  return make


def _jsonl(folder, values):
  pairs.write_pictures(folder, range(len(values)))
  rows = [
    json.dumps({'image': f'{i:03}.png', 'caption': 'x', 'label': value})
    for i, value in enumerate(values)
  ]
  (folder / 'a.jsonl').write_text('\n'.join(rows))
  return dict(name=str(folder / 'a.jsonl'), label='label')


def _tar(ending, label, encode):
  def make(folder, values):
    members = []
    for i, value in enumerate(values):
      members += [(f'{i}.png', pairs.picture(i)), (f'{i}.txt', b'x')]
      members.append((f'{i}.{ending}', encode(value).encode()))
    path = pairs.write_tar(folder / 'a.tar', members)
    return dict(name=str(path), label=label)

  return make


def _tfrecord(folder, values):
  records = [
    {'png': pairs.picture(i), 'caption': b'x', 'label': _feature(value)}
    for i, value in enumerate(values)
  ]
  path = pairs.write_tfrecord(folder / 'a.tfrecord', records)
  return dict(name=str(path), label='label')


def _feature(value):
  """In the type that suits the value, as writers do it."""
  if value is None:
    return []
  return value.encode() if isinstance(value, str) else value


def _folder(folder, values):
  for i, value in enumerate(values):
    # The order of the records is that of the paths.
    place = folder / 'pictures' / _written(value)
    place.mkdir(parents=True, exist_ok=True)
    (place / f'{i:03}.png').write_bytes(pairs.picture(i))
  return dict(name=str(folder / 'pictures'))


SOURCES = {
  'csv': _delimited('csv', ','),
  'tsv': _delimited('tsv', '\t'),
  'jsonl': _jsonl,
  'tar_cls': _tar('cls', 'cls', _written),
  'tar_json': _tar('json', 'json.kind', lambda v: json.dumps({'kind': v})),
  'tfrecord': _tfrecord,
  'folder': _folder,
}
NUMBERS = tuple(map(str, range(12)))
# Values -> their labels and the names of the classes.
CASES = {
  'numbers': (list(range(12)), list(range(12)), NUMBERS),
  'numbers with gaps': ([7, 0, 11], [7, 0, 11], NUMBERS),
  'numbers as texts': (['10', '9', '2'], [10, 9, 2], NUMBERS[:11]),
  'whole floats': ([3.0, 10.0, 0.0], [3, 10, 0], NUMBERS[:11]),
  'numbers and -1': ([-1, 0, 10], [-1, 0, 10], NUMBERS[:11]),
  'names': (['dog', 'cat', 'Ant'], [2, 1, 0], ('Ant', 'cat', 'dog')),
  'names and -1': (['dog', '-1', 'cat'], [1, -1, 0], ('cat', 'dog')),
  'fractions are names': ([0.5, 0.25], [1, 0], ('0.25', '0.5')),
  'truth values are names': ([True, False], [1, 0], ('False', 'True')),
  'ids in the order of numbers': (
    [2_000_000, 10_000_000],
    [0, 1],
    ('2000000', '10000000'),
  ),
}
# What a folder, which has a name, cannot hold.
MISSING = {
  'numbers, some missing': ([2, None, 0], [2, -1, 0], NUMBERS[:3]),
  'numbers, some NaN': ([2.0, math.nan, 0.0], [2, -1, 0], NUMBERS[:3]),
  'names, some missing': (['b', None, 'a'], [1, -1, 0], ('a', 'b')),
  'all missing': ([None, None], [-1, -1], None),
}


def _labels(source):
  """Label of each picture, in the order of their numbers."""
  records = source.fetch(np.arange(source.num_examples))
  names = [source.describe(i) for i in range(source.num_examples)]
  # By the number in the name, which a folder sorts after the class.
  order = np.argsort([_number(name) for name in names])
  return records.label[order].tolist()


def _number(name):
  return int(name.rpartition(':')[2].rpartition('/')[2].partition('.')[0])


def _pairs():
  """Every source with every case that it can hold."""
  for kind in SOURCES:
    for case in (*CASES, *(MISSING if kind != 'folder' else ())):
      if (kind, case) != ('tfrecord', 'truth values are names'):
        yield kind, case


@pytest.mark.parametrize(('kind', 'case'), _pairs())
def test_a_label_means_the_same_in_every_source(kind, case, tmp_path):
  values, expected, names = (CASES | MISSING)[case]
  source = data.make_source(**SOURCES[kind](tmp_path, values))
  assert _labels(source) == expected
  assert source.class_names == names


@pytest.mark.parametrize('kind', SOURCES)
def test_numbers_below_minus_one_are_refused(kind, tmp_path):
  section = SOURCES[kind](tmp_path, [-2, -1, 0, 1])
  with pytest.raises(UserError, match='go down to -2') as error:
    data.make_source(**section)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', ['jsonl', 'tar_json', 'tfrecord'])
def test_several_labels_of_a_record_are_refused(kind, tmp_path):
  section = SOURCES[kind](tmp_path, [[1], [2, 3]])
  with pytest.raises(UserError, match='has 2 labels') as error:
    data.make_source(**section)
  assert '\n' not in str(error.value)


def test_lines_of_a_table_agree_on_the_label_of_a_picture(tmp_path):
  pairs.write_pictures(tmp_path, range(1))
  path = tmp_path / 'a.csv'
  path.write_text('image,caption,label\n000.png,x,\n000.png,y,b\n')
  assert data.make_source(str(path), label='label').class_names == ('b',)
  path.write_text('image,caption,label\n000.png,x,a\n000.png,y,b\n')
  with pytest.raises(UserError, match=r"000\.png has the labels 'a' and 'b'"):
    data.make_source(str(path), label='label')


def test_a_name_among_numbers_is_told(caplog):
  found, names = labels.number(['3', '0', 'cat', '10'], source='x')
  assert names == ('0', '10', '3', 'cat')
  assert found.tolist() == [2, 0, 3, 1]
  assert "whole numbers but for 'cat'" in caplog.text


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('03', 3),
    ('+3', 3),
    ('3.', 3),
    ('3.000000000000000000e+00', 3),  # numpy.savetxt
    ('-0', 0),
    (' 3', None),  # `as_text` strips
    ('3_0', None),
    ('٣', None),
    ('1e3', None),
    ('0x3', None),
    ('3.5', None),
    ('inf', None),
    ('1.5e99', None),
    ('9' * 19, None),
  ],
)
def test_how_whole_numbers_are_written(text, expected):
  found, names = labels.number([text], source='x')
  if expected is None:
    assert names == (text,)
  else:
    assert found.tolist() == [expected]


def test_latin_1_names_stay_two():
  texts = [labels.as_text(name, where='x') for name in (b'caf\xe9', b'caf\xe8')]
  assert labels.number(texts, source='x')[0].tolist() == [1, 0]


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    (np.array([3.0, np.nan, -1.0]), [3, -1, -1]),
    (np.array([True, False]), [1, 0]),
    (np.array([0.5]), None),
    (np.array([-2]), None),
    (np.array([2**31]), None),
    (np.array([np.inf]), None),
    (np.array(['cat']), None),
  ],
)
def test_labels_of_arrays_are_whole_numbers(values, expected):
  images = np.zeros((len(values), 4, 4, 3), np.uint8)
  if expected is None:
    with pytest.raises(UserError, match='whole numbers'):
      data.Arrays(images, values)
  else:
    source = data.Arrays(images, values)
    indices = np.arange(len(values))
    assert source.fetch(indices).label.tolist() == expected


def test_labels_of_a_mixture_are_those_of_the_longest_list():
  images = np.zeros((2, 4, 4, 3), np.uint8)
  few = data.Arrays(images, [0, 1], class_names=('0', '1'))
  more = data.Arrays(images, [2, 0], class_names=('0', '1', '2'))
  mixture = data.Mixture([few, more])
  assert mixture.class_names == ('0', '1', '2')
  assert mixture.fetch(np.arange(4)).label.tolist() == [0, 1, 2, 0]


def test_a_mixture_of_other_classes_says_that_it_has_none(caplog):
  images = np.zeros((1, 4, 4, 3), np.uint8)
  first = data.Arrays(images, [0], class_names=('a',))
  second = data.Arrays(images, [0], class_names=('b',))
  assert data.Mixture([first, second]).class_names is None
  assert 'no labels' in caplog.text
