import pytest

from jaxssl.data import Folder, make_source, not_read, places
from jaxssl.data.sources import PAIR_FILES, pair_source
from jaxssl.errors import UserError


@pytest.mark.parametrize(
  ('name', 'ending'),
  [
    ('a/b.TAR', '.tar'),
    ('a.b/c.tar.gz', '.gz'),
    ('train.tfrecord-00003-of-00010', '.tfrecord'),
    ('train.tfrecord-*', '.tfrecord'),
    ('train.tfrecord-{00000..00009}-of-00010', '.tfrecord'),
    ('part-{000..123}.tar', '.tar'),
    ('photos.csv-old', ''),
    ('a.tar/b', ''),
    ('none', ''),
  ],
)
def test_endings(name, ending):
  assert not_read.ending(name) == ending
  assert pair_source(name) == PAIR_FILES.get(ending)


@pytest.mark.parametrize(
  ('name', 'advice'),
  [
    ('x.zip', 'unpack it, and give the folder'),
    ('x.tar.gz', 'unpack it, and give the folder'),
    ('x.h5', 'write its pictures to a folder, or to tar or parquet files'),
    ('x.npz', 'data.Arrays(images, labels)'),
    ('x-train.array_record-00000-of-00001', 'the name of the TFDS data set'),
    ('train-00000-of-01024', 'TFRecords of another name as the source'),
  ],
)
def test_a_file_that_is_not_read(tmp_path, name, advice):
  path = tmp_path / name
  path.touch()
  with pytest.raises(UserError) as refused:
    make_source(str(path))
  message = str(refused.value)
  assert message.startswith(f'{path} is a file of a kind that is not read; ')
  assert advice in message
  assert '\n' not in message


@pytest.mark.parametrize(
  ('names', 'advice'),
  [
    (['a/0.tar', 'a/1.tar'], 'give its .tar files: {}/a/*.tar'),
    (
      ['t.tfrecord-00000-of-00002', 't.tfrecord-00001-of-00002'],
      'give its .tfrecord files: {}/*.tfrecord-*',
    ),
    (['notes.csv'], 'give the table, such as {}/notes.csv'),
    (['data.mdb', 'lock.mdb'], 'it holds data.mdb; write its pictures'),
    (['c.tfrecord-00000-of-00001', 'dataset_info.json'], 'the TFDS data set'),
    (['readme.md'], 'known endings: .jpg'),
  ],
)
def test_a_folder_without_pictures(tmp_path, names, advice):
  for name in names:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
  with pytest.raises(UserError) as refused:
    Folder(str(tmp_path))
  assert advice.format(tmp_path) in str(refused.value)


def test_of_several_folders_the_first_that_tells_is_advised(tmp_path):
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
  (tmp_path / 'b' / '0.tar').touch()
  with pytest.raises(UserError, match=r'give its \.tar files'):
    Folder([str(tmp_path / 'a'), str(tmp_path / 'b')])


def test_every_kind_of_shard_is_a_source():
  kinds = (*not_read._SHARDS, *not_read._TABLES)
  assert set(kinds) == PAIR_FILES.keys()


def test_a_pattern_of_shards_stands_for_them(tmp_path):
  for name in ('t.tfrecord-0-of-2', 't.tfrecord-1-of-2'):
    (tmp_path / name).touch()
  advice = not_read.of_folder(places.place(tmp_path))
  assert pair_source(advice.split(': ')[1]) == 'tfrecord'
