import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.augment import channel_statistics, recipes
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from tests.augment.images import batch as images_of

# A view with every kind of operation and one with a crop alone.
AUGMENT = Augment(
  views=(recipes.simclr(size=20).views[0], recipes.none(size=20).views[0]),
  mean=channel_statistics.IMAGENET_MEAN,
  std=channel_statistics.IMAGENET_STD,
)
KEY = jax.random.key(5)
IMAGES = jnp.asarray(images_of(24, rows=8))
# The same operations fused in another way: a few float32 roundings, divided by
# the standard deviations, which are about 0.22.
TOLERANCE = 5e-5


@functools.cache
def _reference():
  one = {'image': jax.device_put(IMAGES, jax.devices()[0])}
  return jax.tree.map(np.asarray, jax.jit(AUGMENT)(KEY, one)['views'])


def test_views_have_their_shapes_and_the_batch_is_kept():
  batch = {'image': IMAGES, 'label': jnp.arange(8)}
  made = jax.eval_shape(AUGMENT, KEY, batch)
  assert set(made) == {'image', 'label', 'views'}
  chex.assert_shape(made['views'], [(8, 20, 20, 3), (8, 20, 20, 3)])
  chex.assert_type(made['views'], jnp.float32)


@pytest.mark.parametrize('devices', [2, 8])
def test_views_are_the_same_for_any_number_of_devices_under_pmap(devices):
  run = jax.pmap(
    functools.partial(AUGMENT, axis_name='data'),
    axis_name='data',
    in_axes=(None, 0),
    devices=jax.devices()[:devices],
  )
  batch = {'image': IMAGES.reshape(devices, -1, 24, 24, 3)}
  views = run(KEY, batch)['views']
  views = [np.asarray(v).reshape(8, 20, 20, 3) for v in views]
  chex.assert_trees_all_close(tuple(views), _reference(), atol=TOLERANCE)


def test_views_are_the_same_and_stay_sharded_under_jit():
  mesh = jax.make_mesh(
    (8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  sharding = jax.sharding.NamedSharding(
    mesh, jax.sharding.PartitionSpec('data')
  )
  batch = {'image': jax.device_put(IMAGES, sharding)}
  views = jax.jit(AUGMENT)(KEY, batch)['views']
  for view in views:
    assert view.sharding.is_equivalent_to(sharding, view.ndim)
  chex.assert_trees_all_close(views, _reference(), atol=TOLERANCE)


def test_rows_views_and_keys_differ():
  same = {'image': jnp.broadcast_to(IMAGES[:1], IMAGES.shape)}
  run = jax.jit(AUGMENT)
  first, second = run(KEY, same)['views']
  other, _ = run(jax.random.key(6), same)['views']
  assert len(np.unique(np.asarray(first).reshape(8, -1), axis=0)) == 8
  assert not np.allclose(first, second)
  assert not np.allclose(first, other)
  chex.assert_trees_all_equal(first, run(KEY, same)['views'][0])


def test_crops_of_the_host_are_not_cropped_again():
  spec = CropSpec(size=6)
  augment = Augment(views=(View(crop=spec), View(crop=spec)))
  crops = tuple(jnp.asarray(images_of(6, rows=4, seed=s)) for s in (0, 1))
  assert augment.crops == (spec, spec)
  views = augment(KEY, {'crops': crops, 'image': IMAGES[:4]})['views']
  chex.assert_trees_all_close(
    views, tuple(crop.astype(jnp.float32) / 255 for crop in crops)
  )


def test_operations_of_crops_draw_what_operations_of_images_draw():
  noise = lambda key, image: image * jax.random.uniform(key)  # noqa: E731
  whole = CropSpec(size=24, scale=(1.0, 1.0), ratio=(1.0, 1.0))
  augment = Augment(views=(View(crop=whole, ops=(noise,)),))
  from_image = augment(KEY, {'image': IMAGES})['views']
  from_crops = augment(KEY, {'crops': (IMAGES,)})['views']
  chex.assert_trees_all_close(from_image, from_crops, atol=1e-6)


def test_pixels_are_the_first_view_before_normalisation():
  augment = dataclasses.replace(AUGMENT, keep_pixels=True)
  made = augment(KEY, {'crops': (IMAGES[:, :20, :20],) * 2})
  back = (made['views'][0] * jnp.array(AUGMENT.std).reshape(1, 1, 1, 3)) + (
    jnp.array(AUGMENT.mean).reshape(1, 1, 1, 3)
  )
  chex.assert_trees_all_close(made['pixels'], back, atol=1e-6)


def test_crops_are_kept_as_they_were_before_the_operations():
  """From the host, too; the view is made of the crop, smaller."""
  noise = lambda key, image: image * jax.random.uniform(key)  # noqa: E731
  view = View(crop=CropSpec(size=24), ops=(noise,), size=12)
  augment = dataclasses.replace(AUGMENT, views=(view, view), keep_crops=1)
  made = augment(KEY, {'crops': (IMAGES, IMAGES)})
  (whole,) = made['whole']
  chex.assert_trees_all_close(whole, augment.normalize(IMAGES), atol=1e-6)
  chex.assert_shape(made['views'], (8, 12, 12, 3))
  plain = dataclasses.replace(view, ops=()).finish(KEY, IMAGES[0] / 255)
  expected = jax.image.resize(IMAGES[0] / 255, (12, 12, 3), 'linear')
  chex.assert_trees_all_close(plain, expected, atol=1e-5)


def test_normalize_and_back():
  normalized = AUGMENT.normalize(IMAGES)
  mean, std = np.array(AUGMENT.mean), np.array(AUGMENT.std)
  expected = (np.asarray(IMAGES) / 255 - mean) / std
  chex.assert_trees_all_close(
    np.asarray(normalized), expected.astype(np.float32), atol=1e-6
  )
  chex.assert_trees_all_equal(AUGMENT.denormalize(normalized), IMAGES)


@pytest.mark.parametrize(
  ('batch', 'message'),
  [
    ({'label': jnp.zeros(8)}, "must hold 'image' or 'crops'"),
    ({'image': jnp.zeros((8, 24, 24, 3))}, 'must be uint8'),
    ({'crops': (IMAGES, IMAGES)}, r'the views need \(\(20, 20\)'),
    ({'crops': (IMAGES[:, :20, :20],)}, 'the views need'),
  ],
)
def test_a_wrong_batch_is_the_users_error(batch, message):
  with pytest.raises(errors.UserError, match=message):
    AUGMENT(KEY, batch)
