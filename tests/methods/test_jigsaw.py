import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import Jigsaw
from jaxssl.methods import jigsaw as lib
from tests.tiny import TinyEncoder

PATCH, SHIFT, SIDE = 6, 1, 35  # cells of 11 pixels


@functools.lru_cache
def _corners():
  draw = functools.partial(
    lib.random_corners,
    shape=(SIDE, SIDE, 3),
    patch_size=PATCH,
    channel_shift=SHIFT,
  )
  keys = jax.random.split(jax.random.key(0), 1000)
  return np.asarray(jax.jit(jax.vmap(draw))(keys))


@pytest.mark.parametrize('tile', range(9))
def test_tiles_stay_in_their_cells_and_reach_the_borders(tile):
  inside = _corners()[:, tile] - 11 * np.array(divmod(tile, 3))
  assert inside.min() == 0
  assert inside.max() == 11 - PATCH


def test_channels_move_against_each_other():
  corners = _corners()
  apart = corners.max(axis=2) - corners.min(axis=2)
  assert apart.max() == 2 * SHIFT
  assert 0.2 < (apart > 0).mean() < 1.0


def test_cells_that_are_too_small_are_an_error():
  with pytest.raises(UserError, match='need views of 24 pixels, got 23'):
    lib.random_corners(
      jax.random.key(0), (30, 23, 3), patch_size=PATCH, channel_shift=SHIFT
    )


@pytest.mark.parametrize(
  'wrong',
  [
    {'num_permutations': 1},
    {'num_permutations': 362881},
    {'permutations_per_image': 0},
    {'num_permutations': 4, 'permutations_per_image': 5},
    {'patch_size': 0},
    {'channel_shift': -1},
  ],
  ids=lambda wrong: str(wrong),
)
def test_numbers_out_of_range_are_an_error(wrong):
  with pytest.raises(UserError, match=next(iter(wrong))):
    Jigsaw(encoder=TinyEncoder(), **wrong)


def test_an_image_gets_different_permutations():
  method = Jigsaw(
    encoder=TinyEncoder(), num_permutations=6, permutations_per_image=4
  )
  keys = jax.random.split(jax.random.key(0), 200)
  drawn = np.sort(jax.vmap(method._draw)(keys), axis=1)
  assert (np.diff(drawn, axis=1) > 0).all()
  assert np.bincount(drawn.ravel(), minlength=6).min() > 80


@functools.lru_cache
def _method_and_variables():
  method = Jigsaw(
    encoder=TinyEncoder(),
    num_permutations=5,
    permutations_per_image=2,
    patch_size=8,
    channel_shift=0,
    embed_dim=4,
    hidden_dim=7,
  )
  images = jax.random.normal(jax.random.key(0), (4, 30, 30, 3))
  batch = {'views': (images,)}
  params, state = jax.jit(method.init)(jax.random.key(1), batch)
  params['logits'] = jax.tree.map(lambda w: 50 * w, params['logits'])
  return method, params, state, batch


@jax.jit
def _jitted(params, state):
  method, _, _, batch = _method_and_variables()
  return jax.value_and_grad(method.loss, has_aux=True)(
    params, state, batch, key=jax.random.key(2), step=0
  )


def _value_and_grad():
  _, params, state, _ = _method_and_variables()
  (value, aux), grads = _jitted(params, state)
  return value, aux, grads


def test_permutations_are_state_and_stay():
  method, params, state, _ = _method_and_variables()
  assert state['permutations'].shape == (5, 9)
  _, aux, _ = _value_and_grad()
  _, after = method.update(params, state, aux.carry, step=0)
  np.testing.assert_array_equal(after['permutations'], state['permutations'])


def test_the_saved_permutations_are_used():
  _, params, state, _ = _method_and_variables()
  shifted = jnp.roll(state['permutations'], 1, axis=1)
  (other, _), _ = _jitted(params, {**state, 'permutations': shifted})
  assert abs(float(other) - float(_value_and_grad()[0])) > 1e-4


def test_gradient_reaches_the_encoder():
  _, _, grads = _value_and_grad()
  chex.assert_tree_all_finite(grads)
  assert float(jnp.abs(grads['encoder']['Conv_0']['kernel']).max()) > 0


def test_a_vit_with_drop_path_gets_a_key_for_every_tile():
  encoder = models.make_encoder(
    'vit_ti4', dim=8, depth=2, num_heads=2, drop_path=0.2, grid=(2, 2)
  )
  method = dataclasses.replace(_method_and_variables()[0], encoder=encoder)
  batch = {'views': (jax.ShapeDtypeStruct((4, 30, 30, 3), jnp.float32),)}
  params, state = jax.eval_shape(method.init, jax.random.key(0), batch)
  loss = functools.partial(method.loss, key=jax.random.key(1), step=0)
  value, _ = jax.eval_shape(loss, params, state, batch)
  assert value.shape == ()


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch_with_shuffled_pixels():
  import torch

  method, params, state, batch = _method_and_variables()
  value, _, grads = _value_and_grad()
  tile_key, order_key, _ = jax.random.split(jax.random.key(2), 3)
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  tiles = method._tiles(fold(tile_key, jnp.arange(4)), batch['views'][0])
  labels = np.asarray(jax.vmap(method._draw)(fold(order_key, jnp.arange(4))))
  orders = np.asarray(state['permutations'])[labels]
  # As in the paper: tiles are shuffled first, then each is encoded.
  shuffled = np.stack(
    [[np.asarray(tiles)[i][o] for o in orders[i]] for i in range(4)]
  )
  encoder = {
    'params': params['encoder'],
    'batch_stats': state['stats']['batch_stats']['encoder'],
  }
  (features, _), _ = method.encoder.apply(
    encoder, shuffled.reshape(-1, 8, 8, 3), train=True, mutable=['batch_stats']
  )
  weights = {
    f'{layer}.{name}': torch.tensor(np.array(w), requires_grad=True)
    for layer in ('embed', 'hidden', 'bn', 'logits')
    for name, w in params[layer].items()
  }
  f = torch.tensor(np.asarray(features)).reshape(8, 9, -1)
  embedded = (f @ weights['embed.kernel'] + weights['embed.bias']).flatten(1)
  hidden = torch.nn.functional.batch_norm(
    embedded @ weights['hidden.kernel'],
    None,
    None,
    weights['bn.scale'],
    weights['bn.bias'],
    training=True,
  ).relu()
  logits = hidden @ weights['logits.kernel'] + weights['logits.bias']
  expected = torch.nn.functional.cross_entropy(
    logits, torch.tensor(labels.ravel()).long()
  )
  expected.backward()
  # float32 through a BatchNorm over 8 rows.
  np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
  for name, weight in weights.items():
    layer, kind = name.split('.')
    np.testing.assert_allclose(
      grads[layer][kind], weight.grad, atol=1e-5, err_msg=name
    )
