import dataclasses

import jax
import numpy as np
import pytest

from jaxssl import data, errors
from jaxssl.evals import image_linear, images, probe
from tests.evals.exported_vit import SIZE, exported_vit

TINY = image_linear.ImageLinear(
  learning_rates=(0.1, 3.0), batch_size=16, epochs=6.0
)


@pytest.fixture(scope='module')
def exported():
  return exported_vit(depth=1, use_mask_token=False)


def make_source(seed, count=64, unknown=0):
  """Bright and dark pictures, the first without a label."""
  random = np.random.default_rng(seed)
  labels = np.arange(count) % 2
  pixels = random.integers(0, 128, (count, SIZE, SIZE, 3))
  pixels += 127 * labels[:, None, None, None]
  labels[:unknown] = -1
  return data.Arrays(
    pixels.astype(np.uint8), labels, class_names=('dark', 'bright')
  )


@pytest.fixture(scope='module')
def found(exported):
  return TINY.run(exported, make_source(0, unknown=4), make_source(1))


def test_learns_what_can_be_told_apart(found):
  assert found['top1'] > 0.9
  assert found['learning_rate'] in TINY.learning_rates
  assert found['top1'] == found[f'top1_lr{found["learning_rate"]:g}']


def test_images_without_label_are_ignored(found):
  # 60 images of the 64, 6 times, in batches of 16.
  assert (found['num_train'], found['num_test']) == (60, 64)
  assert found['num_steps'] == 22


def test_classifier_sees_other_crops_in_every_epoch(exported, monkeypatch):
  seen = []

  def fit(method, batches, *, augment, num_steps, **settings):
    for step in range(2):
      batch = augment(jax.random.key(step), next(batches), None)
      seen.append(np.asarray(batch['views'][0]))
    sweep = len(TINY.learning_rates)
    return {'kernel': np.zeros((sweep, 16, 2)), 'bias': np.zeros((sweep, 2))}

  monkeypatch.setattr(probe, 'fit', fit)
  pictures = np.tile(np.arange(SIZE, dtype=np.uint8)[:, None], (32, 1, SIZE, 1))
  source = data.Arrays(
    np.repeat(pictures.reshape(32, SIZE, SIZE, 1), 3, -1),
    np.arange(32) % 2,
    class_names=('a', 'b'),
  )
  TINY.run(exported, source, source)
  assert len(seen) == 4
  assert len(np.unique(seen[0], axis=0)) > 4
  assert not np.array_equal(seen[0], seen[1])


def test_choice_does_not_look_at_the_test_labels(found, exported):
  other = make_source(1)
  wrong = data.Arrays(
    other.fetch(np.arange(64)).content,
    (np.arange(64) + 1) % 2,
    class_names=('dark', 'bright'),
  )
  fooled = TINY.run(exported, make_source(0, unknown=4), wrong)
  assert fooled['learning_rate'] == found['learning_rate']
  assert fooled['validation_top1'] == found['validation_top1']


def test_labels_are_read_in_order():
  np.testing.assert_array_equal(
    images.labels_of(make_source(0, count=5, unknown=2)), [-1, -1, 0, 1, 0]
  )


def test_batch_that_does_not_divide_over_the_devices(exported):
  changed = dataclasses.replace(TINY, batch_size=12)
  with pytest.raises(errors.UserError, match='does not divide over 8 devices'):
    changed.run(exported, make_source(0), make_source(1))
