import subprocess
import sys

import chex
import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import arrays
from jaxssl.errors import UserError


def test_import_does_not_load_tensorflow():
  code = 'import sys, jaxssl.data; sys.exit("tensorflow" in sys.modules)'
  subprocess.run([sys.executable, '-c', code], check=True)


@pytest.fixture(scope='module')
def photos():
  return {
    split: data.make_source('photos', split=split, crops_per_picture=8)
    for split in ('train', 'test')
  }


def test_photos_have_19_pictures_of_equal_share(photos):
  records = photos['train'].fetch(np.arange(photos['train'].num_examples))
  chex.assert_shape(records.content, (19 * 8, 32, 32, 3))
  np.testing.assert_array_equal(np.bincount(records.label), np.full(19, 8))
  assert records.label.dtype == np.int32
  assert photos['train'].class_names[0] == 'astronaut'


def test_photos_are_the_same_every_time(photos):
  again = data.make_source('photos', crops_per_picture=8)
  assert again.fingerprint == photos['train'].fingerprint
  assert again.fingerprint != photos['test'].fingerprint


def test_photos_train_and_test_share_no_pixel():
  from jaxssl.data.photos import _region

  columns = np.tile(np.arange(451), (300, 1))
  train, test = (_region(columns, split) for split in ('train', 'test'))
  assert train.max() < test.min()
  np.testing.assert_allclose(train.shape[1] / 451, 0.65, atol=1 / 451)


def test_photos_are_reduced_by_block_means():
  from jaxssl.data.photos import _reduce

  image = np.array([[0, 1], [2, 4]], np.uint8)[None, :, :, None]
  np.testing.assert_array_equal(_reduce(image, 2), [[[[2]]]])


def test_digits_are_split_once_and_for_all():
  train, test = (data.make_source('digits', split=s) for s in ('train', 'test'))
  assert (train.num_examples, test.num_examples) == (1438, 359)
  assert train.class_names == tuple('0123456789')
  content = test.fetch(np.arange(3)).content
  chex.assert_shape(content, (3, 32, 32, 3))
  assert content.max() == 255


def test_digits_are_those_of_scikit_learn():
  from sklearn import datasets

  source = data.make_source('digits', size=8)
  images, labels = datasets.load_digits(return_X_y=True)
  stored = source.fetch(np.arange(source.num_examples))
  pixels = np.rint(images * (255 / 16)).reshape(-1, 8, 8)
  rows = {
    (label, image.tobytes())
    for label, image in zip(labels, pixels, strict=True)
  }
  found = stored.content[..., 0].astype(float)
  assert rows >= {
    (label, image.tobytes())
    for label, image in zip(stored.label, found, strict=True)
  }


def test_gray_arrays_become_rgb():
  source = arrays.Arrays(np.full((2, 4, 4), 7, np.uint8))
  records = source.fetch(np.array([1]))
  np.testing.assert_array_equal(records.content, np.full((1, 4, 4, 3), 7))
  assert records.label.tolist() == [-1]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(name='photoz'), "did you mean 'photos'"),
    (dict(name='photos', split='val'), 'unknown split'),
    (dict(name='photos', sise=32), "did you mean 'size'"),
    (dict(name='photos', crop=64, size=48), 'does not divide'),
    (dict(name='photos', crop=256, size=32), 'larger than'),
    (dict(name='digits', size=20), 'multiple of 8'),
    (dict(name='/no/such/folder'), 'neither a folder'),
    (dict(name='folder'), "'path'"),
    (dict(name='mixture', sources=[]), 'weights'),
  ],
)
def test_mistakes_are_told_in_one_line(arguments, message):
  with pytest.raises(UserError, match=message) as error:
    data.make_source(**arguments)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('images', 'message'),
  [
    (np.zeros((2, 4, 4, 3), np.float32), 'uint8'),
    (np.zeros((0, 4, 4, 3), np.uint8), 'shape'),
    (np.zeros((2, 4, 4, 2), np.uint8), 'shape'),
  ],
)
def test_arrays_refuse_what_is_no_picture(images, message):
  with pytest.raises(UserError, match=message):
    arrays.Arrays(images)


def test_fake_batches_have_the_shapes_of_real_ones():
  batch = next(data.fake_batches(batch_size=4, image_size=8, views=2))
  chex.assert_shape(batch['crops'], (4, 8, 8, 3))
  assert batch['label'].dtype == np.int32
