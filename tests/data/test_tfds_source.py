import os

import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.data.tfrecord import TFRecords
from jaxssl.errors import UserError
from tests.data import tiny_tfds
from tests.data.tiny_tfds import IMAGES


@pytest.fixture(scope='module', params=['tfrecord', 'array_record'])
def prepared(request, tmp_path_factory):
  root = tmp_path_factory.mktemp(request.param)
  tiny_tfds.prepare(root, request.param)
  return str(root)


def test_every_record_is_found_by_its_index(prepared):
  source = data.make_source('tiny_pictures', data_dir=prepared)
  assert source.class_names == ('even', 'odd')
  (batch,) = data.eval_batches(source, batch_size=7, preprocessing=usual(6))
  # TFDS shuffles when it prepares.
  found = {
    image.tobytes(): label
    for image, label in zip(batch['image'], batch['label'], strict=True)
  }
  expected = {image.tobytes(): i % 2 for i, image in enumerate(IMAGES)}
  assert found == expected


def test_part_of_a_split(prepared):
  whole = data.make_source('tiny_pictures', data_dir=prepared)
  part = data.make_source(
    'tiny_pictures', data_dir=prepared, split='train[2:5]'
  )
  assert part.num_examples == 3
  expected = whole.fetch(np.arange(2, 5)).content.tolist()
  assert part.fetch(np.arange(3)).content.tolist() == expected
  assert part.fingerprint != whole.fingerprint


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(split='tset'), 'unknown split'),
    (dict(version='9.9.9'), 'is not prepared'),
  ],
)
def test_what_is_not_there_is_refused(prepared, arguments, message):
  with pytest.raises(UserError, match=message):
    data.make_source('tiny_pictures', data_dir=prepared, **arguments)


def test_missing_data_names_the_command(tmp_path):
  with pytest.raises(UserError, match='tfds build cifar10 --data_dir'):
    data.make_source('cifar10', data_dir=str(tmp_path))


def test_record_file_that_is_cut_short_is_refused(tmp_path):
  import tensorflow as tf

  path = str(tmp_path / 'a.tfrecord')
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(b'one')
    writer.write(b'')
    writer.write(b'three')
  assert TFRecords([path]).read(np.array([2, 1, 0])) == [b'three', b'', b'one']
  os.truncate(path, os.path.getsize(path) - 6)
  with pytest.raises(UserError, match='cut short'):
    TFRecords([path])


def test_cifar10_jpeg(cifar10_jpeg_dir):
  source = data.make_source(
    'cifar10_jpeg', data_dir=str(cifar10_jpeg_dir), split='test'
  )
  assert source.num_examples == 10_000
  assert source.class_names[:2] == ('airplane', 'automobile')
  batches = data.train_batches(source, batch_size=64, seed=0, image_size=32)
  batch = next(batches)
  assert batch['image'].shape == (64, 32, 32, 3)
  assert batches.bad == 0
  assert len(set(batch['label'].tolist())) == 10
