"""Several folders, patterns, files and lists as one source."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import chosen, hold_out
from jaxssl.data.places import read_file
from jaxssl.errors import UserError
from tests.data import pairs

FOLDERS = ('a/cat', 'a/dog', 'b/cat', 'b/dog', 'one', 'two')


@pytest.fixture
def here(tmp_path, monkeypatch):
  """Six folders of four pictures each; no two pictures are alike."""
  for number, name in enumerate(FOLDERS):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    pairs.write_pictures(folder, range(4 * number, 4 * number + 4))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def _names(source):
  return [source.describe(i) for i in range(source.num_examples)]


def _labels(source):
  indices = np.arange(source.num_examples)
  numbers = source.fetch(indices).label.tolist()
  return [source.class_names[number] for number in numbers]


@pytest.mark.parametrize(
  ('paths', 'count', 'classes'),
  [
    (['a', 'b'], 16, ('cat', 'dog')),
    (['b', 'a', 'b'], 16, ('cat', 'dog')),
    (['one', 'two'], 8, ('one', 'two')),
    (['a', 'one'], 12, None),
    ('a/*', 8, ('cat', 'dog')),
    ('a/*/*.png', 8, ('cat', 'dog')),
    ('**/*.png', 24, ('a', 'b', 'one', 'two')),
    ('one/01[67].png', 2, None),
    ('one/016.png', 1, None),
    (['one/016.png', 'two/020.png'], 2, ('one', 'two')),
  ],
)
def test_labels_are_those_of_folders(here, paths, count, classes):
  source = data.make_source(paths, split='all')
  assert source.num_examples == count
  assert source.class_names == classes
  if classes == ('cat', 'dog'):
    for name, label in zip(_names(source), _labels(source), strict=True):
      assert f'/{label}/' in name


def test_a_pattern_and_a_list_are_the_folder_that_they_name(here):
  folder = data.make_source('a', test_fraction=0.3)
  lines = sorted(str(path) for path in here.glob('a/*/*.png'))
  (here / 'a.txt').write_text('\n'.join(lines))
  others = ['a/*', 'a/*/*.png', 'a.txt', lines]
  for paths in others:
    source = data.make_source(paths, test_fraction=0.3)
    assert source.identity == folder.identity
    assert source.fingerprint == folder.fingerprint
    assert _names(source) == [f'{here}/{name}' for name in _names(folder)]


def test_order_of_the_paths_does_not_count_and_copies_share_the_identity(
  here, tmp_path_factory
):
  source = data.make_source(['a', 'b'])
  assert data.make_source(['b', 'a']).identity == source.identity
  moved = here.rename(tmp_path_factory.mktemp('other') / 'place')
  again = data.make_source([moved / 'b', moved / 'a'])
  assert again.identity == source.identity
  (moved / 'a/cat/000.png').write_bytes(pairs.picture(77))
  changed = data.make_source([moved / 'a', moved / 'b'])
  assert changed.identity != source.identity


def test_copies_in_two_folders_stay_in_one_split(here):
  for number in range(16, 20):
    picture = here / 'one' / f'{number:03}.png'
    (here / 'two' / f'{number}.png').write_bytes(picture.read_bytes())
  splits = {
    split: data.make_source('*o*/*.png', split=split, test_fraction=0.4)
    for split in ('train', 'test')
  }
  content = {
    split: {read_file(name) for name in _names(source)}
    for split, source in splits.items()
  }
  assert content['train'].isdisjoint(content['test'])
  assert sum(s.num_examples for s in splits.values()) == 12


@pytest.mark.parametrize('again', ['one', 'one/', './one'])
def test_a_folder_that_is_given_twice_counts_once(here, again):
  source = data.make_source(['one', again], split='all')
  assert source.num_examples == len(set(_names(source))) == 4


def test_train_and_test_as_two_paths_are_the_splits(here):
  (here / 'a').rename(here / 'train')
  (here / 'b').rename(here / 'test')
  source = data.make_source(['train', 'test'], split='test')
  assert {name.split('/')[-3] for name in _names(source)} == {'test'}
  assert source.class_names == ('cat', 'dog')


def test_a_list_says_what_it_names_in_vain(here, caplog):
  (here / 'sub').mkdir()
  lines = ['../one/016.png', '', 'gone.png', 'gs://bucket/a.png', '../two']
  (here / 'sub' / 'list.txt').write_text('\n'.join(lines))
  source = data.make_source('sub/list.txt', split='all')
  assert source.num_examples == 5
  assert source.skipped == {chosen.MISSING: 1, chosen.ELSEWHERE: 1}
  assert f'{here}/sub/gone.png' in caplog.text
  assert 'gs://bucket/a.png' in caplog.text


def test_captions_beside_pictures_of_several_folders(here):
  for number in (16, 17):
    (here / 'one' / f'{number:03}.txt').write_text(f'number {number}')
  source = data.make_source(['one', 'two'], captions='txt')
  assert source.num_examples == 2
  assert source.captions[0] == ('number 16',)


@pytest.mark.parametrize(
  ('paths', 'message'),
  [
    (['a', 'twoo'], "no folder of this name; did you mean 'two'"),
    (['a', './twoo'], 'did you mean .*two'),
    (['a', 'photos'], 'mixture'),
    (['a', 'b.tar'], 'mixture'),
    (['a.csv', 'b.csv'], 'mixture'),
    (['a', 'a/cat'], 'a/cat lies in .*/a,'),
    ('a.txt', 'a.txt is neither a folder nor a file'),
    ('c/*.jpg', 'matches no picture'),
    (['one/*.jpg', 'two'], 'matches no picture'),
    ('empty.txt', 'names no picture'),
    (['gs://bucket/a.png', 'one/016.png'], 'mixture'),
    ([], 'empty list'),
  ],
)
def test_what_is_not_there_is_told_in_a_line(here, paths, message):
  (here / 'empty.txt').write_text('none.png\n')
  with pytest.raises(UserError, match=message) as error:
    data.make_source(paths)
  assert '\n' not in str(error.value)


def test_hold_out_by_default_of_all_that_is_chosen():
  from jaxssl import defaults

  section = defaults.data_section(['one/*.png', 'two/*.png'])
  assert section == {
    'name': 'folder',
    'path': ['one/*.png', 'two/*.png'],
    'test_fraction': hold_out.SHARE,
  }
