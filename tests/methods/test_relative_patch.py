import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.methods import RelativePatch
from jaxssl.methods import relative_patch as lib
from tests.tiny import TinyEncoder

PATCH, GAP, JITTER, SIDE = 6, 3, 2, 24


@functools.lru_cache
def _drawn(count=2000):
  draw = functools.partial(
    lib.random_corners,
    shape=(SIDE, SIDE),
    patch_size=PATCH,
    gap=GAP,
    jitter=JITTER,
  )
  keys = jax.random.split(jax.random.key(0), count)
  corners, places = jax.jit(jax.vmap(draw))(keys)
  return np.asarray(corners), np.asarray(places)


def test_patches_lie_in_the_image_and_reach_its_borders():
  corners, _ = _drawn()
  assert corners.min() == 0
  assert corners.max() == SIDE - PATCH


@pytest.mark.parametrize('place', range(8))
def test_place_is_where_the_second_patch_lies(place):
  corners, places = _drawn()
  found = (corners[:, 1] - corners[:, 0])[places == place]
  grid = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
  expected = np.array(grid[place]) * (PATCH + GAP)
  # Both patches move by at most JITTER.
  assert np.abs(found - expected).max() == 2 * JITTER
  assert abs(len(found) / len(places) - 1 / 8) < 0.03


def test_patches_keep_their_distance():
  corners, _ = _drawn()
  apart = np.abs(corners[:, 1] - corners[:, 0]).max(axis=1)
  # Touching would be apart = PATCH.
  assert apart.min() >= PATCH + GAP - 2 * JITTER


def test_opposite_places_add_up_to_7():
  corners, places = _drawn()
  swapped = corners[:, 0] - corners[:, 1]
  direction = np.round(swapped / (PATCH + GAP)).astype(int)
  cell = 3 * (direction[:, 0] + 1) + direction[:, 1] + 1
  np.testing.assert_array_equal(cell - (cell > 4), 7 - places)


def test_one_channel_is_kept_and_the_others_are_weak_noise():
  patch = jax.random.uniform(jax.random.key(0), (32, 32, 3))
  keys = jax.random.split(jax.random.key(1), 60)
  dropped = jax.vmap(lib.drop_colors, in_axes=(0, None))(keys, patch)
  deviation = np.sort(dropped.std((1, 2)), axis=1)
  np.testing.assert_allclose(deviation[:, 2], 1.0, atol=1e-3)
  np.testing.assert_allclose(deviation[:, :2], 0.01, atol=1e-3)
  kept = np.bincount(dropped.std((1, 2)).argmax(1), minlength=3)
  assert kept.min() >= 10


def test_views_that_are_too_small_are_an_error():
  with pytest.raises(UserError, match='need views of 19 pixels, got 18'):
    lib.random_corners(
      jax.random.key(0),
      (18, 30),
      patch_size=PATCH,
      gap=GAP,
      jitter=JITTER,
    )


@pytest.mark.parametrize(
  ('wrong', 'message'),
  [
    ({'patch_size': 0}, 'patch_size is 0; it must be positive'),
    ({'gap': -1}, 'gap is -1; it must be at least 0'),
    ({'jitter': -1}, 'jitter is -1; it must be at least 0'),
  ],
)
def test_sizes_that_make_no_patches_are_an_error(wrong, message):
  with pytest.raises(UserError, match=message):
    RelativePatch(encoder=TinyEncoder(), **wrong)


@functools.lru_cache
def _loss_and_inputs():
  """Loss and gradient, and what the head saw: features and labels."""
  method = RelativePatch(
    encoder=TinyEncoder(),
    patch_size=8,
    gap=2,
    jitter=1,
    embed_dim=5,
    hidden_dim=7,
  )
  images = jax.random.normal(jax.random.key(0), (6, 24, 24, 3))
  batch = {'views': (images,)}
  params, state = jax.jit(method.init)(jax.random.key(1), batch)
  params['logits'] = jax.tree.map(lambda w: 50 * w, params['logits'])
  key = jax.random.key(2)

  def loss(params):
    return method.loss(params, state, batch, key=key, step=0)[0]

  pairs = jax.jit(lambda key: method.pairs(key, images))
  patches, places, _ = pairs(jax.random.split(key)[0])
  encoder = {
    'params': params['encoder'],
    'batch_stats': state['batch_stats']['encoder'],
  }
  (features, _), _ = method.encoder.apply(
    encoder, patches.reshape(-1, 8, 8, 3), train=True, mutable=['batch_stats']
  )
  value, grads = jax.jit(jax.value_and_grad(loss))(params)
  return params, value, grads, np.asarray(features), np.asarray(places)


def test_gradient_reaches_the_encoder():
  _, _, grads, _, _ = _loss_and_inputs()
  chex.assert_tree_all_finite(grads)
  assert float(jnp.abs(grads['encoder']['Conv_0']['kernel']).max()) > 0


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch():
  import torch

  params, value, grads, features, places = _loss_and_inputs()
  weights = {
    f'{layer}.{name}': torch.tensor(np.array(w), requires_grad=True)
    for layer in ('embed', 'hidden', 'bn', 'logits')
    for name, w in params[layer].items()
  }
  f = torch.tensor(features).reshape(-1, 2, 16)
  embedded = f @ weights['embed.kernel'] + weights['embed.bias']
  pairs = torch.cat([embedded, embedded.flip(1)]).flatten(1)
  hidden = torch.nn.functional.batch_norm(
    pairs @ weights['hidden.kernel'],
    None,
    None,
    weights['bn.scale'],
    weights['bn.bias'],
    training=True,
  ).relu()
  logits = hidden @ weights['logits.kernel'] + weights['logits.bias']
  labels = torch.tensor(np.concatenate([places, 7 - places])).long()
  expected = torch.nn.functional.cross_entropy(logits, labels)
  expected.backward()
  # float32 through a BatchNorm over 12 rows.
  np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
  for name, weight in weights.items():
    layer, kind = name.split('.')
    np.testing.assert_allclose(
      grads[layer][kind], weight.grad, atol=1e-5, err_msg=name
    )
