"""Nothing leaves an archive without being counted."""

import os
import tarfile

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import hold_out, shards, tar, tfrecord, tfrecord_pairs
from jaxssl.errors import UserError
from tests.data import pairs, tiny_tfds


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _members(*names):
  return [
    (n, b'x' if n.endswith('txt') else pairs.picture(i))
    for i, n in enumerate(names)
  ]


def _content(source):
  return source.fetch(np.arange(source.num_examples)).content.tolist()


@pytest.mark.parametrize('mask_first', [False, True])
def test_of_two_pictures_one_is_named(mask_first, tmp_path):
  members = _members('0.jpg', '0.png', '0.txt')
  members = members[1:] + members[:1] if mask_first else members
  path = str(pairs.write_tar(tmp_path / 'a.tar', members))
  with pytest.raises(UserError, match='two pictures') as error:
    data.make_source(path)
  assert '\n' not in str(error.value)
  for ending, number in (('jpg', 0), ('.PNG', 1)):
    source = data.make_source(path, image=ending)
    assert _content(source) == [pairs.picture(number)]
    assert source.skipped == {}


def test_a_mask_whose_ending_has_a_dot_is_counted_or_named(tmp_path):
  members = _members('0.jpg', '0.seg.png', '0.txt')
  path = str(pairs.write_tar(tmp_path / 'a.tar', members))
  source = data.make_source(path)
  assert _content(source) == [pairs.picture(0)]
  assert source.skipped == {tar.OTHER_ENDING: 1}
  assert data.make_source(path, image='jpg').skipped == {}
  source = data.make_source(path, image='seg.png')
  assert _content(source) == [pairs.picture(1)]


def test_pictures_of_several_endings(tmp_path):
  members = _members('0.jpg', '0.txt', '1.png', '1.txt', '2.webp', '2.txt')
  path = str(pairs.write_tar(tmp_path / 'a.tar', members))
  source = data.make_source(path, image=('jpg', 'png'))
  assert source.num_examples == 2
  assert source.skipped == {shards.NO_PICTURE: 1, tar.OTHER_ENDING: 1}


def test_keys_with_dots_are_counted(tmp_path, caplog):
  names = ('p_22.05.jpg', 'p_22.05.txt', 'v1.0/0.jpg', 'v1.0/0.txt')
  path = pairs.write_tar(tmp_path / 'a.tar', _members(*names))
  source = data.make_source(str(path))
  assert source.describe(0).endswith('v1.0/0')
  assert source.num_examples == 1
  assert source.skipped == {tar.OTHER_ENDING: 2}
  assert 'p_22.05.jpg' in caplog.text
  pairs.write_tar(path, _members(*names[:2]))
  with pytest.raises(UserError, match='2 left out, members'):
    data.make_source(str(path))


def test_fields_have_endings_with_dots_and_in_any_case(tmp_path):
  members = [
    *_members('0.JPG'),
    ('0.en.TXT', b'english'),
    ('0.meta.json', b'{"De": "deutsch"}'),
  ]
  path = pairs.write_tar(tmp_path / 'a.tar', members)
  fields = ('en.txt', 'meta.json.De')
  source = data.make_source(str(path), captions=fields)
  assert source.captions[0] == ('english', 'deutsch')


def test_a_picture_that_is_a_link_is_counted(tmp_path):
  link = tarfile.TarInfo('1.jpg')
  link.type, link.linkname = tarfile.SYMTYPE, '0.jpg'
  members = [*_members('0.jpg', '0.txt'), link]
  path = pairs.write_tar(tmp_path / 'a.tar', members)
  assert data.make_source(str(path)).skipped == {tar.NO_FILE: 1}


def test_two_texts_of_one_field_are_refused(tmp_path):
  path = pairs.write_tar(
    tmp_path / 'a.tar', _members('0.jpg', '0.txt', '0.TXT')
  )
  with pytest.raises(UserError, match='two members'):
    data.make_source(str(path))


def _three(folder):
  """A tar file of three records, and where the header of the second is."""
  members = [m for number in range(3) for m in pairs.record(number)]
  path = pairs.write_tar(folder / 'a.tar', members)
  with tarfile.open(path) as file:
    (second,) = (m for m in file if m.name == 'part/001.png')
  return path, path.read_bytes(), second.offset


@pytest.mark.parametrize(
  ('harm', 'message'),
  [
    (lambda whole, place: whole[:place], 'without the mark of its end'),
    (lambda whole, place: whole[: place + 300], 'without the mark of its end'),
    (lambda whole, place: whole[: place + 600], 'unexpected end of data'),
    (
      lambda whole, place: whole[:place] + b'?' + whole[place + 1 :],
      'is damaged at byte',
    ),
    (lambda whole, _: whole + whole, 'goes on behind its end'),
    (
      lambda whole, place: whole[:place] + bytes(1024) + whole[place:],
      'goes on behind its end',
    ),
  ],
  ids=['between', 'in a header', 'in a file', 'flipped', 'joined', 'zeros'],
)
def test_a_tar_file_that_is_not_whole_is_refused(harm, message, tmp_path):
  path, whole, place = _three(tmp_path)
  assert data.make_source(str(path)).num_examples == 3
  path.write_bytes(harm(whole, place))
  with pytest.raises(UserError, match=message) as error:
    data.make_source(str(path))
  assert 'a.tar' in str(error.value)
  assert '\n' not in str(error.value)


def test_a_lone_zero_block_is_an_end(tmp_path):
  path, whole, _ = _three(tmp_path)
  with tarfile.open(path) as file:
    file.getmembers()
    end = file.offset
  path.write_bytes(whole[: end + 512])
  assert data.make_source(str(path)).num_examples == 3


def test_missing_files_of_a_range_are_told(tmp_path):
  for number in (0, 2):
    pairs.write_tar(tmp_path / f'{number}.tar', pairs.record(number))
  with pytest.raises(UserError, match=r'names 2 files .* such as .*/1\.tar'):
    data.make_source('tar', path=str(tmp_path / '{0..3}.tar'))


def _examples(folder):
  records = [
    {'png': pairs.picture(i), 'caption': b'a', 'key': b'%d' % i}
    for i in range(3)
  ]
  return pairs.write_tfrecord(folder / 'a.tfrecord', records)


def _flip(path, content):
  """Flips a bit of a picture."""
  whole = bytearray(path.read_bytes())
  whole[whole.index(content) + 40] ^= 1
  path.write_bytes(whole)


def test_a_damaged_record_is_counted(tmp_path):
  path = _examples(tmp_path)
  _flip(path, pairs.picture(1))
  source = data.make_source(str(path))
  assert _content(source) == [pairs.picture(0), pairs.picture(2)]
  assert source.skipped == {tfrecord_pairs.DAMAGED: 1}


def test_a_record_that_is_damaged_later_is_unreadable(tmp_path):
  path = _examples(tmp_path)
  source = data.make_source(str(path))
  _flip(path, pairs.picture(1))
  assert _content(source) == [pairs.picture(0), b'', pairs.picture(2)]


def test_a_damaged_length_is_refused(tmp_path):
  path = _examples(tmp_path)
  whole = bytearray(path.read_bytes())
  whole[3] ^= 1
  path.write_bytes(whole)
  with pytest.raises(UserError, match='damaged at byte 0'):
    data.make_source(str(path))


def test_a_damaged_record_of_a_prepared_set_is_unreadable(tmp_path):
  tiny_tfds.prepare(tmp_path, 'tfrecord')
  (path,) = tmp_path.rglob('*.tfrecord*')
  whole = bytearray(path.read_bytes())
  whole[whole.index(b'IDAT') + 8] ^= 1
  path.write_bytes(whole)
  source = data.make_source('tiny_pictures', data_dir=str(tmp_path))
  records = source.fetch(np.arange(source.num_examples))
  assert [bool(content) for content in records.content].count(False) == 1
  assert records.label.tolist().count(-1) == 1


def test_a_prepared_set_that_lacks_records_is_refused(tmp_path):
  tiny_tfds.prepare(tmp_path, 'tfrecord')
  (path,) = tmp_path.rglob('*.tfrecord*')
  places, _ = tfrecord.record_places(str(path))
  # Between two records, where the file itself is whole.
  path.write_bytes(path.read_bytes()[: places[-1, 0] - 12])
  with pytest.raises(UserError, match='holds 6 records'):
    data.make_source('tiny_pictures', data_dir=str(tmp_path))


def _shards(folder, kind):
  """Twenty files whose records are all called 0 to 9; no two are alike."""
  for shard in range(20):
    contents = [pairs.picture(10 * shard + key) for key in range(10)]
    if kind == 'tar':
      members = [(f'{key}.png', each) for key, each in enumerate(contents)]
      members += [(f'{key}.txt', b'x') for key in range(10)]
      pairs.write_tar(folder / f'{shard:02}.tar', members)
    else:
      records = [
        {'png': each, 'caption': b'x', 'key': b'%d' % key}
        for key, each in enumerate(contents)
      ]
      pairs.write_tfrecord(folder / f'{shard:02}.tfrecord', records)
  return dict(name=kind, path=str(folder / f'*.{kind}'))


def _keys(source):
  return [source.describe(i).split(':')[-1] for i in range(source.num_examples)]


@pytest.mark.parametrize('kind', ['tar', 'tfrecord'])
@pytest.mark.parametrize('most_read', [20_000, 100])
def test_the_hold_out_is_a_sample_where_files_count_alike(
  kind, most_read, tmp_path, monkeypatch
):
  monkeypatch.setattr(hold_out, '_MOST_READ', most_read)
  section = _shards(tmp_path, kind)
  test = data.make_source(**section, split='test', test_fraction=0.2)
  assert test.num_examples == 40
  # Of each of the ten names 4 are expected, with a standard deviation of 1.8.
  counts = np.unique(_keys(test), return_counts=True)[1]
  assert len(counts) >= 8
  assert counts.max() < 12
  train = data.make_source(**section, split='train', test_fraction=0.2)
  assert train.num_examples == 160
  assert train.num_held_out == 40


@pytest.mark.parametrize('kind', ['tar', 'tfrecord'])
def test_moved_and_renamed_files_keep_their_splits(kind, tmp_path):
  (tmp_path / 'a').mkdir()
  section = _shards(tmp_path / 'a', kind)

  def held(section):
    source = data.make_source(**section, split='test', test_fraction=0.3)
    return sorted(source.fetch(np.arange(source.num_examples)).content)

  before = held(section)
  os.rename(tmp_path / 'a', tmp_path / 'b')
  os.rename(tmp_path / f'b/00.{kind}', tmp_path / f'b/new.{kind}')
  assert held(dict(name=kind, path=str(tmp_path / f'b/*.{kind}'))) == before


def test_copies_in_many_files_stay_together(tmp_path):
  for number in range(10):
    members = [m for each in (3, 20 + number) for m in pairs.record(each)]
    pairs.write_tar(tmp_path / f'{number}.tar', members)
  path = str(tmp_path / '*.tar')
  keys = {
    split: _keys(
      data.make_source('tar', path=path, split=split, test_fraction=0.5)
    )
    for split in ('train', 'test')
  }
  assert sorted(keys['train'] + keys['test']).count('part/003') == 10
  assert ('part/003' in keys['train']) != ('part/003' in keys['test'])
