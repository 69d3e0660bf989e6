import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import MAE
from jaxssl.models.conv_stem import ConvStem
from jaxssl.weights import timm as timm_weights


@pytest.fixture(scope='module')
def encoder():
  return models.make_encoder(
    'vit_ti16', dim=32, depth=1, num_heads=2, stem='conv'
  )


@pytest.fixture(scope='module')
def variables(encoder):
  return jax.jit(encoder.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def test_names_and_shapes_are_those_of_moco_v3(variables):
  tensors = timm_weights.to_timm(variables)
  stem = {
    name.removeprefix('patch_embed.'): tensor.shape
    for name, tensor in tensors.items()
    if name.startswith('patch_embed.')
  }
  widths, expected = (3, 4, 8, 16, 32), {}
  for i in range(4):
    expected[f'proj.{3 * i}.weight'] = (widths[i + 1], widths[i], 3, 3)
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
      expected[f'proj.{3 * i + 1}.{name}'] = (widths[i + 1],)
  expected |= {'proj.12.weight': (32, 32, 1, 1), 'proj.12.bias': (32,)}
  assert stem == expected


@pytest.mark.reference
def test_tokens_equal_a_transcription_in_torch(variables):
  import torch
  from torch import nn

  layers, channels = [], 3
  for width in (4, 8, 16, 32):
    layers += [
      nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
      nn.BatchNorm2d(width),
      nn.ReLU(),
    ]
    channels = width
  stem = nn.Sequential(*layers, nn.Conv2d(32, 32, 1))
  tensors = timm_weights.to_timm(variables)
  state = {
    name.removeprefix('patch_embed.proj.'): torch.tensor(tensor)
    for name, tensor in tensors.items()
    if name.startswith('patch_embed.proj.')
  }
  state |= {f'{i}.num_batches_tracked': torch.tensor(0) for i in (1, 4, 7, 10)}
  stem.load_state_dict(state)
  images = np.random.default_rng(0).normal(size=(4, 32, 32, 3))
  images = images.astype(np.float32)
  with torch.no_grad():
    theirs = stem.train()(torch.from_numpy(images).permute(0, 3, 1, 2))
  ours, changed = ConvStem(16, 32, jnp.float32).apply(
    {kind: tree['patch_embed'] for kind, tree in variables.items()},
    images,
    train=True,
    mutable=['batch_stats'],
  )
  # Four layers of float32, normalised in each.
  np.testing.assert_allclose(
    ours, theirs.flatten(2).transpose(1, 2).numpy(), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    changed['batch_stats']['proj_10']['mean'],
    stem[10].running_mean.numpy(),
    rtol=1e-4,
    atol=1e-6,
  )


def test_training_changes_the_running_statistics_only(encoder, variables):
  images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
  apply = functools.partial(encoder.apply, train=True, mutable=['batch_stats'])
  (features, out), changed = jax.jit(apply)(variables, images)
  chex.assert_shape(features, (4, 32))
  chex.assert_shape(out['patch_embed'], (4, 4, 32))
  old = variables['batch_stats']['patch_embed']['proj_1']['mean']
  new = changed['batch_stats']['patch_embed']['proj_1']['mean']
  assert (np.asarray(old) != np.asarray(new)).any()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'patch_size': 12}, 'power of two'),
    ({'dim': 20, 'num_heads': 2}, 'divisible by half'),
    ({'stem': 'convs'}, "did you mean 'conv'"),
  ],
)
def test_what_does_not_fit_is_a_user_error(changes, message):
  options = {'dim': 32, 'num_heads': 2, 'depth': 1, 'stem': 'conv'} | changes
  with pytest.raises(errors.UserError, match=message):
    jax.eval_shape(
      models.make_encoder('vit_ti16', **options).init,
      jax.random.key(0),
      jnp.zeros((1, 48, 48, 3)),
    )


def test_masked_methods_need_patches():
  with pytest.raises(errors.UserError, match='hides patches'):
    MAE(encoder=models.make_encoder('vit_ti16', stem='conv'))
