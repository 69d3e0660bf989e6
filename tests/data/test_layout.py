import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import layout
from tests.data import pairs

# Folders with pictures -> what each means: (split, class).
LAYOUTS = {
  'classes': {'cat': (None, 'cat'), 'dog': (None, 'dog')},
  'nested classes': {'cat/a': (None, 'cat'), 'dog': (None, 'dog')},
  'no folders': {'': (None, None)},
  'a picture in no class': {'': (None, None), 'cat': (None, None)},
  'one folder holds all': {'images': (None, None)},
  'classes in one folder': {
    'images/cat': (None, 'cat'),
    'images/dog': (None, 'dog'),
  },
  'one split': {'train/cat': (None, 'cat'), 'train/dog': (None, 'dog')},
  'a class called train': {'train': (None, 'train'), 'truck': (None, 'truck')},
  'splits': {
    'train/cat': ('train', 'cat'),
    'train/dog': ('train', 'dog'),
    'test/dog': ('test', 'dog'),
  },
  'splits of one class': {'train/x': ('train', 'x'), 'val/x': ('test', 'x')},
  'splits in one folder': {
    'data/train/cat': ('train', 'cat'),
    'data/validation/cat': ('test', 'cat'),
  },
  'classes in one folder of each split': {
    'train/images/cat': ('train', 'cat'),
    'train/images/dog': ('train', 'dog'),
    'val/images/dog': ('test', 'dog'),
  },
  'a split without labels': {
    'train/cat': ('train', 'cat'),
    'train/dog': ('train', 'dog'),
    'test': ('test', None),
    'val/cat': (None, 'cat'),
  },
  'pictures of neither split': {
    'train/cat': ('train', 'cat'),
    'test/dog': ('test', 'dog'),
    'unlabeled': (None, None),
    '': (None, None),
  },
}


@pytest.mark.parametrize('kind', LAYOUTS)
def test_folders_mean_splits_and_classes(kind):
  found = layout.read(LAYOUTS[kind])
  assert {f: (m.split, m.label) for f, m in found.items()} == LAYOUTS[kind]


def _write(root, names):
  for number, name in enumerate(names):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pairs.picture(number))


def _labels(root, **section):
  """Class of each file, as a run has it."""
  source = data.make_source('folder', path=root, **section)
  labels = source.fetch(np.arange(source.num_examples)).label
  return {
    source.describe(i).removeprefix(f'{root}/'): label >= 0
    and source.class_names[label]
    for i, label in enumerate(labels.tolist())
  }


def test_all_splits_together_have_the_classes_below_them(tmp_path):
  _write(tmp_path, ['train/cat/a.png', 'train/dog/b.png', 'val/dog/c.png'])
  assert _labels(tmp_path, split='all') == {
    'train/cat/a.png': 'cat',
    'train/dog/b.png': 'dog',
    'val/dog/c.png': 'dog',
  }


def test_a_label_is_the_same_class_in_both_splits(tmp_path):
  _write(tmp_path, ['train/cat/a.png', 'train/dog/b.png', 'val/dog/c.png'])
  train, test = (
    data.make_source('folder', path=tmp_path, split=split)
    for split in ('train', 'test')
  )
  assert train.class_names == test.class_names == ('cat', 'dog')
  assert test.fetch(np.arange(1)).label.tolist() == [1]


def test_one_split_folder_is_split_by_a_hash(tmp_path):
  names = [f'train/{kind}/{i}.png' for kind in ('a', 'b') for i in range(20)]
  _write(tmp_path, names)
  train, test = (
    _labels(tmp_path, split=split, test_fraction=0.3)
    for split in ('train', 'test')
  )
  assert sorted([*train, *test]) == sorted(names)
  assert {*train.values()} == {*test.values()} == {'a', 'b'}


def test_pictures_of_neither_split_are_counted_and_named(tmp_path, caplog):
  _write(tmp_path, ['train/a.png', 'test/b.png', 'val/c.png', 'd.png'])
  for split in ('train', 'test'):
    source = data.make_source('folder', path=tmp_path, split=split)
    assert source.num_examples == 1
    assert sum(source.skipped.values()) == 2
  assert 'val/c.png' in caplog.text
  assert len(_labels(tmp_path, split='all')) == 4


def test_captions_of_the_other_split_are_not_missed(tmp_path):
  _write(tmp_path, ['train/a.png', 'test/b.png'])
  for name in ('train/a.txt', 'test/b.txt', 'train/c.txt'):
    (tmp_path / name).write_text('a caption')
  counts = [
    sum(
      data.make_source(
        'folder', path=tmp_path, split=split, captions='txt'
      ).skipped.values()
    )
    for split in ('train', 'test')
  ]
  assert counts == [1, 0]
