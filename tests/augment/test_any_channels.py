import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from jaxssl.augment import any_channels, blur, color, geometry, jitter
from jaxssl.augment.any_channels import for_bands, random_brightness_contrast
from jaxssl.augment.bands import Bands
from jaxssl.augment.channel_statistics import IMAGENET_MEAN
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.recipes import RECIPES
from jaxssl.augment.view import Augment, View
from jaxssl.errors import UserError

FIVE = Bands(channels=5)
IMAGE = np.random.default_rng(0).uniform(0, 1, (9, 8, 5)).astype(np.float32)
NORMAL = {'mean': (0.2,) * 5, 'std': (0.1,) * 5}


@pytest.mark.parametrize('seed', range(4))
def test_brightness_and_contrast_are_those_of_tensorflow(seed):
  key = jax.random.key(seed)
  u = np.asarray(jax.random.uniform(key, (4,)))
  b, c = 0.6 + 0.8 * u[0], 0.7 + 0.6 * u[1]

  def brighter(x):
    return np.clip(b * x, 0, 1)

  def contrasted(x):
    return np.clip(tf.image.adjust_contrast(x, c).numpy(), 0, 1)

  both = (brighter, contrasted) if u[2] < 0.5 else (contrasted, brighter)
  wanted = both[1](both[0](IMAGE))
  found = random_brightness_contrast(
    key, jnp.asarray(IMAGE), brightness=0.4, contrast=0.3
  )
  # float32 sums of 72 values in another order.
  np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_nothing_changes_with_probability_zero():
  found = random_brightness_contrast(
    jax.random.key(0), jnp.asarray(IMAGE), brightness=1, contrast=1, prob=0.0
  )
  np.testing.assert_array_equal(found, IMAGE)


def _functions(augment):
  return [getattr(op, 'func', op) for view in augment.views for op in view.ops]


@pytest.mark.parametrize('name', RECIPES)
def test_every_recipe_has_a_rule_for_five_channels(name):
  recipe = RECIPES[name](size=32)
  augment = for_bands(recipe, FIVE, **NORMAL)
  of_colours = {jitter.random_color_jitter, color.random_gray}
  of_colours.add(color.random_solarize)
  assert not of_colours & set(_functions(augment))
  # What says nothing of colours stays where it was.
  kept = [f for f in _functions(recipe) if f not in of_colours]
  assert [f for f in _functions(augment) if f in kept] == kept
  assert augment.crops == recipe.crops
  batch = {'image': jax.ShapeDtypeStruct((2, 40, 40, 5), jnp.uint16)}
  views = jax.eval_shape(augment, jax.random.key(0), batch)['views']
  sizes = [view.size or view.crop.size for view in recipe.views]
  assert [v.shape for v in views] == [(2, size, size, 5) for size in sizes]


def test_jitter_keeps_its_strengths_and_the_place_in_the_order():
  augment = for_bands(RECIPES['byol'](size=64), FIVE, **NORMAL)
  flip, changed, blurred = augment.views[0].ops
  assert flip is geometry.random_flip_left_right
  assert changed.func is random_brightness_contrast
  assert changed.keywords == dict(brightness=0.4, contrast=0.4, prob=0.8)
  assert blurred.func is blur.random_gaussian_blur
  assert any_channels.left_out(RECIPES['byol']()) == [
    'hue and saturation',
    'gray',
    'solarizing',
  ]
  assert any_channels.left_out(RECIPES['mae']()) == []


def test_operations_of_others_stay():
  own = functools.partial(jnp.multiply, 1.0)
  view = View(crop=CropSpec(size=8), ops=(own,))
  assert for_bands(Augment(views=(view,)), FIVE).views == (view,)


@pytest.mark.parametrize('bands', [None, Bands(channels=3)])
def test_three_channels_are_red_green_and_blue(bands):
  recipe = RECIPES['simclr'](size=32)
  augment = for_bands(recipe, bands)
  assert augment.views == recipe.views
  assert (augment.mean, augment.bands) == (recipe.mean, bands)


def test_a_mean_of_colours_is_none_of_five_channels():
  with pytest.raises(UserError, match='mean of 5 channels is missing'):
    for_bands(RECIPES['mae'](), FIVE)
  assert for_bands(RECIPES['simclr'](), FIVE).mean == (0.0,) * 5
  with pytest.raises(UserError, match='a number per channel, of 5'):
    Augment(views=(), mean=IMAGENET_MEAN, bands=FIVE)


def test_16_bits_are_shares_of_65535_and_come_back():
  augment = Augment(views=(), bands=FIVE, **NORMAL)
  stored = np.arange(10, dtype=np.uint16).reshape(2, 5) * 7000
  found = augment.normalize(jnp.asarray(stored))
  # float32 has 24 bits for 16 of these.
  np.testing.assert_allclose(found, (stored / 65535 - 0.2) / 0.1, atol=1e-6)
  back = augment.denormalize(found)
  chex.assert_trees_all_equal(np.asarray(back), stored)
