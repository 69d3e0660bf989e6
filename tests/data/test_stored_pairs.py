"""Pictures and masks out of folders, tar files and TFDS data sets."""

import functools
import io

import numpy as np
from PIL import Image
import pytest

from jaxssl import data
from jaxssl.data.dense import Pictures
from jaxssl.data.stored_pairs import pairs
from jaxssl.errors import UserError
from tests import object_store
from tests.data import pairs as tiny

COUNT = 8


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
    yield


def mask_of(number):
  """A mask of the picture's size, whose first pixel is its number."""
  mask = np.zeros((12, 12 + number), np.uint8)
  mask[0], mask[-1] = number % 3, 255
  return mask


def depth_of(number):
  return np.full((12, 12 + number), 1.0 + number, np.float32)


def _png(values):
  out = io.BytesIO()
  Image.fromarray(values).save(out, 'PNG')
  return out.getvalue()


def _npy(values):
  out = io.BytesIO()
  np.save(out, values)
  return out.getvalue()


def _members():
  """Name of each file -> content, of all pictures."""
  found = {}
  for number in range(COUNT):
    stem = f'{number:03}'
    found[f'images/{stem}.png'] = tiny.picture(number)
    found[f'masks/{stem}.png'] = _png(mask_of(number))
    found[f'depth/{stem}.npy'] = _npy(depth_of(number))
  return found


def write_folder(folder):
  for name, content in _members().items():
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(content)
  return folder


def write_tar(path):
  members = []
  for number in range(COUNT):
    stem = f'a/{number:03}'
    members += [
      (f'{stem}.jpg', tiny.picture(number, 'JPEG')),
      (f'{stem}.mask.png', _png(mask_of(number))),
      (f'{stem}.depth.npy', _npy(depth_of(number))),
    ]
  tiny.write_tar(path, members)
  return path


def _check(source, numbers, kinds=('mask', 'depth')):
  assert source.num_examples == len(numbers)
  assert list(source.targets) == list(kinds)
  for row, number in enumerate(numbers):
    mask = source.targets['mask'].read(row)
    np.testing.assert_array_equal(mask[0], number % 3)
    np.testing.assert_array_equal(mask[-1], -1)
    if 'depth' in kinds:
      depth = source.targets['depth'].read(row)
      np.testing.assert_array_equal(depth, depth_of(number))
  examples = list(Pictures(source=source, kind='mask'))
  for example, number in zip(examples, numbers, strict=True):
    assert example.image.shape == (12, 12 + number, 3)
    assert example.target.shape == (12, 12 + number)
    # JPEG keeps a colour nearly.
    colour = example.image.mean((0, 1))
    np.testing.assert_allclose(colour, tiny.color(number), atol=3)


@pytest.mark.parametrize('kind', ['folder', 'tar'])
def test_pictures_and_targets_stay_together(kind, tmp_path):
  if kind == 'folder':
    path = write_folder(tmp_path / 'data')
    source = data.make_source(str(path))
  else:
    path = write_tar(tmp_path / 'a.tar')
    source = data.make_source('pairs', path=str(path))
  _check(source, range(COUNT))
  held = {'test_fraction': 0.25, 'path': str(path)}
  parts = [
    data.make_source('pairs', split=split, **held)
    for split in ('train', 'test')
  ]
  assert [part.num_examples for part in parts] == [6, 2]
  numbers = [
    [int(part.describe(i).rpartition('/')[2][:3]) for i in range(count)]
    for part, count in zip(parts, (6, 2), strict=True)
  ]
  assert sorted([*numbers[0], *numbers[1]]) == list(range(COUNT))
  for part, own in zip(parts, numbers, strict=True):
    _check(part, own)


def test_a_folder_in_a_store(tmp_path):
  write_folder(tmp_path)
  with object_store.running():
    target = object_store.upload(tmp_path, 'bucket/pairs')
    source = pairs(target)
    _check(source, range(COUNT))
    assert source.identity == pairs(str(tmp_path)).identity


def test_other_names_and_conventions_of_known_sets(tmp_path):
  write_folder(tmp_path)
  (tmp_path / 'masks').rename(tmp_path / 'SegmentationClass')
  (tmp_path / 'images').rename(tmp_path / 'JPEGImages')
  (tmp_path / 'classes.txt').write_text('sky\ntree\n\n')
  source = pairs(
    str(tmp_path),
    images='JPEGImages',
    masks='SegmentationClass',
    zero='ignore',
  )
  assert list(source.targets) == ['mask', 'depth']
  mask = source.targets['mask']
  assert mask.class_names == ('sky', 'tree')
  assert [mask.read(i)[0, 0] for i in range(3)] == [-1, 0, 1]


def test_what_lacks_a_target_is_left_out_and_named(tmp_path, caplog):
  write_folder(tmp_path)
  (tmp_path / 'masks' / '002.png').unlink()
  (tmp_path / 'images' / '005.png').unlink()
  (tmp_path / 'masks' / '003.png').write_bytes(b'broken')
  source = pairs(str(tmp_path), split='all')
  assert source.num_examples == COUNT - 2
  assert source.skipped == {
    'pictures without mask': 1,
    'mask without a picture': 1,
    'depth without a picture': 1,
  }
  assert 'images/002.png' in caplog.text
  pictures = Pictures(source=source, kind='mask')
  assert len(list(pictures)) == COUNT - 3
  assert pictures.faults.count == 1
  assert 'images/003.png cannot be read (its mask: ' in caplog.text


def test_changed_targets_are_other_data(tmp_path):
  first = pairs(str(write_folder(tmp_path / 'a')))
  copy = pairs(str(write_folder(tmp_path / 'b')))
  assert first.identity == copy.identity
  (tmp_path / 'b' / 'masks' / '001.png').write_bytes(_png(mask_of(2)))
  changed = pairs(str(tmp_path / 'b'))
  assert changed.identity != first.identity
  assert pairs(str(tmp_path / 'a'), zero='ignore').identity != first.identity


@functools.cache
def _builder_class():
  import tensorflow_datasets as tfds

  class TinyMasks(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      image = tfds.features.Image
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            'image': image(shape=(None, None, 3), encoding_format='png'),
            'mask': image(shape=(None, None, 1), encoding_format='png'),
          }
        ),
      )

    def _split_generators(self, manager):
      del manager
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      for number in range(COUNT):
        pixels = np.full((12, 12 + number, 3), tiny.color(number), np.uint8)
        yield number, {'image': pixels, 'mask': mask_of(number)[..., None]}

  return TinyMasks


def test_features_of_a_tfds_data_set(tmp_path):
  builder = _builder_class()(data_dir=str(tmp_path), file_format='tfrecord')
  builder.download_and_prepare()
  named = {'path': 'tiny_masks', 'data_dir': str(tmp_path)}
  source = data.make_source('pairs', masks='mask', **named)
  numbers = [source.fetch(np.array([i])).content[0] for i in range(COUNT)]
  order = [
    tiny.number_of(np.asarray(Image.open(io.BytesIO(content))))
    for content in numbers
  ]
  assert sorted(order) == list(range(COUNT))
  _check(source, order, kinds=('mask',))
  with pytest.raises(UserError, match="did you mean 'mask'"):
    data.make_source('pairs', masks='maks', **named)
  with pytest.raises(UserError, match='neither masks nor depth'):
    data.make_source('pairs', **named)


@pytest.mark.parametrize(
  ('change', 'options', 'message'),
  [
    ('', {'masks': 'mask'}, "no folder 'mask'"),
    ('', {'images': 'img'}, "no folder 'img' of pictures"),
    ('', {'classes': 'none.txt'}, 'no file none.txt'),
    ('classes', {}, "'a' is there twice"),
    ('two', {}, 'are two of one picture'),
    ('other', {}, 'no picture has a mask and a depth of its name'),
  ],
)
def test_folders_that_do_not_fit_are_told(change, options, message, tmp_path):
  write_folder(tmp_path)
  if change == 'classes':
    (tmp_path / 'classes.txt').write_text('a\na\n')
  if change == 'two':
    (tmp_path / 'masks' / '000.tif').write_bytes(b'')
  if change == 'other':
    for path in (tmp_path / 'masks').iterdir():
      path.rename(path.with_stem(f'mask_of_{path.stem}'))
  with pytest.raises(UserError, match=message):
    pairs(str(tmp_path), **options)


def test_tar_files_that_do_not_fit_are_told(tmp_path):
  path = str(write_tar(tmp_path / 'a.tar'))
  with pytest.raises(UserError, match=r'no member ends in seg\.png'):
    pairs(path, masks='seg.png')
  source = pairs(path, masks=('mask.png', 'seg.png'), images='jpg')
  assert source.num_examples == COUNT
