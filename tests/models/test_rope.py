"""Rotary positions: properties, noise in training, and the encoder's use."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import momentum
from jaxssl.models import rope
from tests.models import timm_reference

SIZE = 32
TINY = {'dim': 32, 'depth': 2, 'num_heads': 2}


def _turn(grid, **options):
  places = jnp.asarray(rope.coordinates(grid))
  return rope.rotation(places, **{'head_dim': 8, 'base': 100.0, **options})


def test_coordinates_are_centres_between_the_edges():
  places = rope.coordinates((2, 4))
  assert places.shape == (1, 8, 2)
  np.testing.assert_allclose(places[0, 0], [-0.5, -0.75])
  np.testing.assert_allclose(places[0, -1], [0.5, 0.75])


def test_products_depend_on_the_offset_alone():
  rng = np.random.default_rng(0)
  q, k = (
    jnp.broadcast_to(rng.standard_normal(8, np.float32), (1, 16, 1, 8))
    for _ in range(2)
  )
  turn = _turn((4, 4))
  q, k = rope.rotate(q, turn)[0, :, 0], rope.rotate(k, turn)[0, :, 0]
  products = np.asarray(q @ k.T)
  # From (0, 0) to (1, 2), and from (2, 1) to (3, 3).
  np.testing.assert_allclose(products[0, 6], products[9, 15], atol=1e-5)
  assert abs(products[0, 6] - products[0, 5]) > 1e-3


def test_tokens_before_the_patches_stay():
  x = jnp.ones((1, 5 + 4, 2, 8))
  turned = rope.rotate(x, _turn((2, 2)))
  np.testing.assert_array_equal(turned[:, :5], 1.0)
  assert np.abs(turned[:, 5:] - 1.0).max() > 0.1


@pytest.mark.parametrize(
  ('noise', 'low', 'high'),
  [
    (rope.Noise(shift=0.5), None, None),
    (rope.Noise(jitter=3.0), 1 / 3, 3.0),
    (rope.Noise(rescale=2.0), 0.5, 2.0),
  ],
)
def test_noise_of_each_kind_fills_its_range(noise, low, high):
  places = jnp.asarray(rope.coordinates((2, 2)))
  found = rope.moved(places, noise, jax.random.split(jax.random.key(0), 4000))
  if noise.shift is not None:
    shifts = np.asarray(found - places)
    assert np.ptp(shifts, axis=1).max() < 1e-6
    assert np.abs(shifts).max() <= 0.5
    np.testing.assert_allclose(shifts[:, 0].std(), 1 / 12**0.5, rtol=0.05)
    return
  factors = np.asarray(found / places)
  assert factors.min() >= low - 1e-6
  assert factors.max() <= high + 1e-5
  log, widest = np.log(factors[:, 0]), np.log(high)
  np.testing.assert_allclose(log.std(), widest / 3**0.5, rtol=0.05)
  both = np.corrcoef(log.T)[0, 1]
  assert (both > 0.99) == (noise.rescale is not None)


def _encoder(**options):
  encoder = models.make_encoder('dinov3_vit_s8', **{**TINY, **options})
  x = timm_reference.images(SIZE)
  return encoder, timm_reference.random_variables(encoder, x), x


def test_kept_patches_have_the_positions_of_their_places():
  encoder, variables, x = _encoder()
  whole = encoder.apply(variables, x)[1]['encoded']
  order = np.random.default_rng(0).permutation(16)[None].repeat(2, axis=0)
  kept = encoder.apply(variables, x, keep=jnp.asarray(order))[1]['encoded']
  np.testing.assert_allclose(kept[:, :5], whole[:, :5], atol=1e-5)
  np.testing.assert_allclose(kept[:, 5:], whole[:, 5:][:, order[0]], atol=1e-5)


def test_noise_is_of_training_and_of_each_picture():
  encoder, variables, x = _encoder(rope_rescale=2.0, rope_shift=0.3)
  x = np.repeat(x[:1], 2, axis=0)
  keys = jax.random.split(jax.random.key(1), 2)
  apply = functools.partial(encoder.apply, variables)
  quiet, _ = apply(x, False, None, keys)
  noisy, _ = apply(x, True, None, keys)
  assert np.abs(noisy[0] - noisy[1]).max() > 1e-3
  assert np.abs(noisy - quiet).max() > 1e-3
  alone, _ = apply(x[1:], True, None, keys[1:])
  np.testing.assert_allclose(alone[0], noisy[1], atol=1e-5)
  with pytest.raises(UserError, match='needs `keys`'):
    apply(x, True)
  teacher = momentum.without_noise(encoder)
  same, _ = teacher.apply(variables, x, True)
  np.testing.assert_allclose(same, quiet, atol=1e-6)


def test_a_bias_of_keys_that_is_off_has_no_effect_and_no_gradient():
  encoder, variables, x = _encoder()

  def total(variables):
    return encoder.apply(variables, x)[0].sum()

  gradient = jax.grad(total)(variables)['params']['blocks_0']['attn']['qkv']
  q, k, v = np.split(np.asarray(gradient['bias']), 3)
  assert not k.any()
  assert q.any()
  assert v.any()


def test_heads_of_an_odd_width_are_refused():
  with pytest.raises(UserError, match='that 4 divides, not 6'):
    models.make_encoder('dinov3_vit_s8', dim=12, num_heads=2)
