import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import errors
from jaxssl.augment import color, jitter
from tests.augment.images import picture

AMOUNTS = np.array([1.3, 0.6, 1.7, -0.15], np.float32)
ORDERS = list(itertools.permutations(range(4)))
KINDS = {
  'torchvision': (
    color.adjust_brightness,
    color.adjust_contrast,
    color.adjust_saturation,
    color.adjust_hue,
  ),
  'tf': (
    color.adjust_brightness,
    color.adjust_contrast_tf,
    color.adjust_saturation_tf,
    color.adjust_hue,
  ),
  'tf_additive': (
    color.adjust_brightness_additive,
    color.adjust_contrast_tf,
    color.adjust_saturation_tf,
    color.adjust_hue,
  ),
}
STRENGTHS = {'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.2, 'hue': 0.1}


@pytest.mark.parametrize('kind', KINDS)
def test_every_order_equals_the_operations_one_after_the_other(kind):
  image = jnp.asarray(picture(12, 12))
  run = functools.partial(jitter.color_jitter, kind=kind)
  ours = jax.jit(jax.vmap(run, in_axes=(None, None, 0)))(
    image, jnp.asarray(AMOUNTS), jnp.array(ORDERS)
  )
  for order, jittered in zip(ORDERS, ours, strict=True):
    expected = image
    for index in order:
      expected = KINDS[kind][index](expected, AMOUNTS[index])
    # A few roundings, which a factor above 1 and the hue enlarge.
    chex.assert_trees_all_close(jittered, expected, atol=5e-6)


@pytest.mark.reference
def test_equals_torchvision_in_a_given_order():
  import torch
  from torchvision.transforms.v2 import functional

  theirs = torch.tensor(picture()).permute(2, 0, 1)
  operations = [
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
  ]
  order = (2, 0, 3, 1)
  for index in order:
    theirs = operations[index](theirs, float(AMOUNTS[index]))
  ours = jitter.color_jitter(
    jnp.asarray(picture()), jnp.asarray(AMOUNTS), jnp.array(order)
  )
  chex.assert_trees_all_close(
    np.asarray(ours), theirs.permute(1, 2, 0).numpy(), atol=5e-6
  )


def test_amounts_are_uniform_and_independent_of_each_other(monkeypatch):
  # Each amount by itself: the operation is replaced by one that shows it.
  drawn = {}

  def record(apply, image, amounts, order):
    drawn.update(apply=apply, amounts=amounts, order=order)
    return image

  monkeypatch.setitem(jitter._JITTERS, 'torchvision', record)

  def draw(key):
    jitter.random_color_jitter(key, jnp.zeros((2, 2, 3)), prob=0.8, **STRENGTHS)
    return drawn['apply'], drawn['amounts'], drawn['order']

  keys = jax.random.split(jax.random.key(0), 4800)
  apply, amounts, order = jax.tree.map(np.asarray, jax.vmap(draw)(keys))
  assert abs(apply.mean() - 0.8) < 4 * (0.8 * 0.2 / 4800) ** 0.5
  lows, highs = (0.6, 0.6, 0.8, -0.1), (1.4, 1.4, 1.2, 0.1)
  for column, low, high in zip(amounts.T, lows, highs, strict=True):
    assert stats.kstest(column, 'uniform', (low, high - low)).pvalue > 1e-3
  assert np.abs(np.corrcoef(amounts.T) - np.eye(4)).max() < 4 / 4800**0.5
  numbers = [ORDERS.index(tuple(o)) for o in order]
  assert stats.chisquare(np.bincount(numbers, minlength=24)).pvalue > 1e-3


def test_additive_brightness_and_large_strengths_have_the_reference_ranges():
  low, high = jitter._ranges(0.4, 1.6, 0.2, 0.1, 'tf_additive')
  chex.assert_trees_all_close(low, np.float32([-0.4, 0, 0.8, -0.1]))
  chex.assert_trees_all_close(high, np.float32([0.4, 2.6, 1.2, 0.1]))


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_probability_zero_changes_nothing_and_one_everything(prob):
  image = jnp.asarray(picture(8, 8))
  jittered = jitter.random_color_jitter(
    jax.random.key(1), image, prob=prob, **STRENGTHS
  )
  assert bool(jnp.any(jittered != image)) == (prob == 1.0)


def test_bfloat16_is_rounded_float32():
  image = jnp.asarray(picture(16, 16), jnp.bfloat16)
  run = functools.partial(
    jitter.random_color_jitter, jax.random.key(2), **STRENGTHS
  )
  low = run(image)
  assert low.dtype == jnp.bfloat16
  chex.assert_trees_all_close(
    low.astype(jnp.float32), run(image.astype(jnp.float32)), atol=2**-8
  )


def test_wrong_strength_and_kind_are_the_users_errors():
  image = jnp.zeros((4, 4, 3))
  with pytest.raises(errors.UserError, match='hue at most'):
    jitter.random_color_jitter(
      jax.random.key(0), image, **{**STRENGTHS, 'hue': 0.6}
    )
  with pytest.raises(errors.UserError, match='torchvision'):
    jitter.random_color_jitter(
      jax.random.key(0), image, kind='torch', **STRENGTHS
    )
