"""The loss of distillation beside PyTorch's functions, and what it refuses."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import Distillation
from jaxssl.ops.feature_match import cosine_distance, match_distance
from tests import tiny_methods
from tests.tiny import TinyEncoder
from tests.tiny_teacher import tiny_teacher

NAMES = ('global_head', 'patch_head')


@pytest.fixture(scope='module')
def batch():
  """Views and pixels of them, as the recipe makes them."""
  pixels = np.random.default_rng(0).uniform(size=(3, 16, 16, 3))
  pixels = jnp.asarray(pixels, jnp.float32)
  return {'views': ((pixels - 0.5) / 0.25,), 'pixels': pixels}


def _method(**fields):
  encoder = tiny_methods.vit('distillation', dim=16, depth=1)  # of patches of 4
  return tiny_methods.make('distillation', encoder, **fields)


def _loss(method, params, state, batch):
  key, step = jax.random.key(1), jnp.asarray(0)
  return method.loss(params, state, batch, key=key, step=step)


def _theirs(own, targets, heads, weights):
  """The loss of PyTorch's functions, and its gradient to the adaptors."""
  import torch
  from torch import nn
  from torch.nn import functional

  total, gradients = 0.0, {}
  for name, weight in zip(NAMES, weights, strict=True):
    x, y = (torch.tensor(np.asarray(a[name])) for a in (own, targets))
    tree = heads[name]
    layers = nn.Sequential(
      nn.Linear(x.shape[-1], tree['dense_0']['bias'].shape[0]),
      nn.LayerNorm(tree['dense_0']['bias'].shape[0]),
      nn.ReLU(),
      nn.Linear(tree['dense_0']['bias'].shape[0], y.shape[-1]),
    )
    for layer, part in ((0, 'dense_0'), (3, 'dense_1')):
      kernel = np.array(tree[part]['kernel']).T
      layers[layer].weight.data = torch.tensor(kernel)
      layers[layer].bias.data = torch.tensor(np.array(tree[part]['bias']))
    found = layers(x)
    if name == 'patch_head':
      found = functional.interpolate(
        found.permute(0, 3, 1, 2), y.shape[1:3], mode='bilinear'
      ).permute(0, 2, 3, 1)
    distance = 1 - functional.cosine_similarity(found, y, dim=-1)
    loss = distance.mean()
    if name == 'patch_head':
      loss = 0.9 * loss + 0.1 * functional.smooth_l1_loss(found, y)
    (weight * loss).backward()
    total += weight * loss.item()
    gradients[name] = layers[0].weight.grad.numpy().T
  return total, gradients


@pytest.mark.reference
@pytest.mark.parametrize('teacher_size', [None, 24])
def test_loss_and_gradient_equal_pytorch(teacher_size, batch):
  method = _method(
    global_weight=0.5, patch_weight=2.0, teacher_size=teacher_size
  )
  params, state = method.init(jax.random.key(0), batch)
  (loss, _), gradient = jax.jit(
    jax.value_and_grad(
      lambda params: _loss(method, params, state, batch), has_aux=True
    )
  )(params)
  features, out = method.encoder.apply(
    {'params': params['encoder']}, batch['views'][0]
  )
  side = batch['views'][0].shape[1] // method.encoder.patch_size
  own = {
    'global_head': features,
    'patch_head': out['patches'].reshape(3, side, side, -1),
  }
  targets = method.targets(state['teacher'], batch['pixels'])
  expected, gradients = _theirs(own, targets, params, (0.5, 2.0))
  # float32 sums in another order.
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  for name in NAMES:
    ours = gradient[name]['dense_0']['kernel']
    scale = np.abs(gradients[name]).max()
    np.testing.assert_allclose(ours, gradients[name], atol=1e-4 * scale)


def test_the_teacher_sees_its_own_pixels_and_stays(batch):
  method = _method()
  params, state = method.init(jax.random.key(0), batch)
  teacher = tiny_teacher()
  pixels = np.asarray(batch['pixels'])
  images = ((pixels - teacher.mean) / teacher.std).astype(np.float32)
  features, out = teacher.encoder.apply(teacher.variables, images)
  found = method.targets(state['teacher'], batch['pixels'])
  np.testing.assert_allclose(found['global_head'], features, atol=1e-5)
  patches = out['patches'].reshape(3, 2, 2, -1)
  np.testing.assert_allclose(found['patch_head'], patches, atol=1e-5)
  _, aux = _loss(method, params, state, batch)
  _, after = method.update(params, state, aux.carry, step=jnp.asarray(0))
  chex.assert_trees_all_equal(after['teacher'], teacher.variables)
  assert set(params) == {'encoder', *NAMES}


def test_distances_are_zero_of_equals_and_match_sees_the_length():
  x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
  np.testing.assert_allclose(cosine_distance(x, 3 * x), 0, atol=1e-6)
  np.testing.assert_allclose(cosine_distance(x, -x), 2, rtol=1e-6)
  np.testing.assert_allclose(match_distance(x, x), 0, atol=1e-6)
  assert (np.asarray(match_distance(x, 3 * x)) > 0.05).all()


def test_one_kind_of_features_alone(batch):
  method = tiny_methods.make('distillation', TinyEncoder(), patch_weight=0.0)
  params, state = method.init(jax.random.key(0), batch)
  assert set(params) == {'encoder', 'global_head'}
  _, aux = _loss(method, params, state, batch)
  assert set(aux.metrics) == {'global_cosine'}


def test_what_cannot_be_imitated_is_refused(batch):
  with pytest.raises(UserError, match='both 0'):
    _method(global_weight=0.0, patch_weight=0.0)
  with pytest.raises(UserError, match='needs the pixels'):
    _method().init(jax.random.key(0), {'views': batch['views']})
  encoder = models.make_encoder('dvae', width=8, blocks_per_group=1)
  method = Distillation(encoder=encoder, teacher=tiny_teacher())
  with pytest.raises(UserError, match='patch_weight=0'):
    method.init(jax.random.key(0), batch)
  with pytest.raises(UserError, match='do not divide'):
    _method(teacher_size=20).init(jax.random.key(0), batch)
