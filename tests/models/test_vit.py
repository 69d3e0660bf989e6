import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.parallel import collectives
from tests.models import timm_reference

SMALL = {'dim': 64, 'depth': 2, 'num_heads': 4}


def _small(**options):
  return models.make_encoder('vit_ti8', **SMALL | options)


def _setup(encoder, size=32):
  x = jnp.asarray(timm_reference.images(size))
  return x, timm_reference.random_variables(encoder, x)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _encode(encoder, variables, x, train=False, **kwargs):
  return encoder.apply(variables, x, train, **kwargs)


# timm's options and ours for the same architecture.
PAIRS = {
  'cls': ({}, {}),
  'avg': ({'global_pool': 'avg'}, {'pool': 'avg'}),
  'avg of normed tokens': (
    {'global_pool': 'avg', 'fc_norm': False},
    {'pool': 'avg', 'fc_norm': False},
  ),
  'map without class token': (
    {'global_pool': 'map', 'class_token': False},
    {'pool': 'map', 'class_token': False},
  ),
  'registers and LayerScale': (
    {'reg_tokens': 3, 'init_values': 0.1},
    {'num_registers': 3, 'layer_scale': 0.1},
  ),
  'positions of patches only': (
    {'reg_tokens': 1, 'no_embed_class': True},
    {'num_registers': 1, 'prefix_positions': False},
  ),
  'no positions': ({'pos_embed': 'none'}, {'position': 'none'}),
}


@pytest.mark.reference
@pytest.mark.parametrize('pool', ['cls', 'avg'])
def test_features_of_vit_s16_equal_timm(pool):
  theirs, ours = PAIRS[pool]
  model = timm_reference.make(
    'vit_small_patch16_224', dynamic_img_size=True, **theirs
  )
  encoder = models.make_encoder('vit_s16', **ours)
  variables = timm_reference.load(encoder, model, 224)
  for size in (224, 160):
    error = timm_reference.features_error(encoder, variables, model, size)
    assert error < 1e-4, size


@pytest.mark.reference
@pytest.mark.parametrize('pair', PAIRS)
def test_features_and_gradients_equal_timm(pair):
  theirs, ours = PAIRS[pair]
  model = timm_reference.make(
    'vit_tiny_patch16_224',
    img_size=64,
    depth=2,
    dynamic_img_size=True,
    **theirs,
  )
  encoder = models.make_encoder('vit_ti16', depth=2, **ours)
  variables = timm_reference.load(encoder, model, 64)
  # At another size, so that gradients pass through the interpolation too.
  features, gradients = timm_reference.gradient_errors(
    encoder, variables, model, 96
  )
  assert features < 1e-4
  assert max(gradients.values()) < 1e-3, max(gradients, key=gradients.get)


@pytest.mark.reference
def test_blocks_and_tokens_equal_timm():
  model = timm_reference.make('vit_tiny_patch16_224', img_size=32, depth=2)
  encoder = models.make_encoder('vit_ti16', depth=2)
  variables = timm_reference.load(encoder, model, 32)
  x = timm_reference.images(32)
  theirs = model.forward_intermediates(
    timm_reference.to_torch(x), return_prefix_tokens=True, output_fmt='NLC'
  )
  _, out = jax.jit(encoder.apply)(variables, x)
  last, blocks = theirs
  assert timm_reference.relative_error(out['encoded'], last.detach()) < 1e-4
  for i, (patches, prefix) in enumerate(blocks):
    tokens = np.concatenate([prefix.detach(), patches.detach()], axis=1)
    error = timm_reference.relative_error(out[f'block{i:02d}'], tokens)
    assert error < 1e-4, i


@pytest.mark.reference
@pytest.mark.parametrize('name', ['vit_ti16', 'vit_s16', 'vit_b16', 'vit_l16'])
def test_parameter_count_equals_timm(name):
  import timm

  long = {'ti': 'tiny', 's': 'small', 'b': 'base', 'l': 'large'}[name[4:-2]]
  import torch

  with torch.device('meta'):
    model = timm.create_model(f'vit_{long}_patch16_224', num_classes=0)
  encoder = models.make_encoder(name)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3))
  )
  ours = sum(leaf.size for leaf in jax.tree.leaves(shapes))
  assert ours == sum(p.numel() for p in model.parameters())


def test_intermediates_have_their_shapes():
  encoder = _small(num_registers=2)
  x = jnp.zeros((2, 32, 32, 3))
  variables = jax.eval_shape(encoder.init, jax.random.key(0), x)
  _, out = jax.eval_shape(encoder.apply, variables, jnp.zeros((2, 32, 48, 3)))
  assert {name: value.shape for name, value in out.items()} == {
    'patch_embed': (2, 24, 64),
    'block00': (2, 27, 64),
    'block01': (2, 27, 64),
    'encoded': (2, 27, 64),
    'patches': (2, 24, 64),
    'cls': (2, 64),
    'pre_logits': (2, 64),
  }


def test_keep_of_all_patches_permutes_tokens_and_leaves_features():
  encoder = _small(num_registers=1)
  x, variables = _setup(encoder)
  order = np.stack([np.random.default_rng(i).permutation(16) for i in (0, 1)])
  features, out = _encode(encoder, variables, x)
  kept_features, kept = _encode(encoder, variables, x, keep=jnp.asarray(order))
  chex.assert_trees_all_close(kept_features, features, atol=1e-5)
  permuted = jnp.take_along_axis(out['patches'], order[:, :, None], axis=1)
  chex.assert_trees_all_close(kept['patches'], permuted, atol=1e-5)


def test_keep_ignores_the_patches_left_out():
  encoder = _small()
  x, variables = _setup(encoder)
  keep = jnp.asarray([[0, 5], [5, 0]])  # patch 0: top left, 5: row 1, column 1
  other = x.at[:, :8, 8:].set(7.0).at[:, 8:, :8].set(7.0).at[:, 16:].set(7.0)
  features, _ = _encode(encoder, variables, x, keep=keep)
  same, _ = _encode(encoder, variables, other, keep=keep)
  # Columns 2 and 3 of rows 0 and 1 differ too, and must not matter either.
  chex.assert_trees_all_equal(features, same)
  changed, _ = _encode(encoder, variables, x.at[:, :8, :8].set(7.0), keep=keep)
  assert jnp.abs(changed - features).min(axis=0).max() > 1e-4


def test_mask_hides_the_masked_patches_only():
  encoder = _small(use_mask_token=True)
  x, variables = _setup(encoder)
  mask = jnp.zeros((2, 16), bool).at[:, 0].set(True)
  hidden, _ = _encode(encoder, variables, x, mask=mask)
  changed = x.at[:, :8, :8].set(7.0)
  same, _ = _encode(encoder, variables, changed, mask=mask)
  chex.assert_trees_all_equal(hidden, same)
  seen, _ = _encode(encoder, variables, x.at[:, 8:16, :8].set(7.0), mask=mask)
  assert jnp.abs(seen - hidden).max() > 1e-4


def test_masked_patches_still_have_positions():
  encoder = _small(use_mask_token=True)
  x, variables = _setup(encoder)
  mask = jnp.ones((2, 16), bool)
  _, out = _encode(encoder, variables, x, mask=mask)
  patches = np.asarray(out['block00'][0, 1:])
  assert np.abs(patches - patches[:1]).max(axis=1)[1:].min() > 1e-3


def test_mask_token_is_there_without_a_mask_at_init():
  x = jnp.zeros((1, 32, 32, 3))
  tree = jax.eval_shape(_small(use_mask_token=True).init, jax.random.key(0), x)
  assert tree['params']['mask_token'].shape == (1, 1, 64)
  tree = jax.eval_shape(_small().init, jax.random.key(0), x)
  assert 'mask_token' not in tree['params']


def test_fixed_positions_have_no_parameter_and_matter():
  encoder = _small(position='sincos_mae', pool='avg')
  x, variables = _setup(encoder)
  assert 'pos_embed' not in variables['params']
  # A mirror image has the same patches elsewhere if each patch is flat.
  flat = jnp.repeat(jnp.repeat(x[:, ::8, ::8], 8, axis=1), 8, axis=2)
  features, _ = _encode(encoder, variables, flat)
  mirrored, _ = _encode(encoder, variables, flat[:, :, ::-1])
  assert jnp.abs(features - mirrored).max() > 1e-3
  blind = _small(position='none', pool='avg')
  features, _ = _encode(blind, variables, flat)
  mirrored, _ = _encode(blind, variables, flat[:, :, ::-1])
  chex.assert_trees_all_close(features, mirrored, atol=1e-5)


def test_grid_stores_positions_of_another_size_than_the_images():
  encoder = _small(grid=(3, 5))
  x, variables = _setup(encoder)
  assert variables['params']['pos_embed'].shape == (1, 16, 64)
  features, _ = _encode(encoder, variables, x)
  chex.assert_shape(features, (2, 64))
  with pytest.raises(errors.UserError, match='grid'):
    # 1x4 patches, which a 2x2 grid would hold too.
    jax.eval_shape(_small().init, jax.random.key(0), x[:, :8])


def test_drop_path_can_be_the_same_in_all_blocks():
  encoder = _small(drop_path=0.9, drop_path_uniform=True)
  x, variables = _setup(encoder)
  x = jnp.broadcast_to(x[:1], (64, *x.shape[1:]))
  keys = jax.random.split(jax.random.key(0), 64)
  _, out = _encode(encoder, variables, x, True, keys=keys)
  # Rows whose branches the first block drops are all as they came in.
  first = out['block00']
  same = (first[:, None] == first[None]).all((2, 3)).sum(1).max() / 64
  assert float(same) == pytest.approx(0.81, abs=0.15)


def test_drop_path_rates_rise_linearly_from_zero():
  encoder = _small(drop_path=0.9, depth=3)
  x, variables = _setup(encoder)
  x = jnp.broadcast_to(x[:1], (64, *x.shape[1:]))
  keys = jax.random.split(jax.random.key(0), 64)
  _, out = _encode(encoder, variables, x, True, keys=keys)
  chex.assert_trees_all_equal(out['block00'][0], out['block00'][1])

  def unchanged(a, b):
    return float((jnp.abs(out[a] - out[b]).max((1, 2)) == 0).mean())

  # Both branches of a row dropped: 0.45^2 and 0.9^2, 64 rows.
  assert unchanged('block00', 'block01') == pytest.approx(0.2025, abs=0.15)
  assert unchanged('block01', 'block02') == pytest.approx(0.81, abs=0.15)


def test_drop_path_does_not_depend_on_the_device_count():
  encoder = _small(drop_path=0.5)
  x, variables = _setup(encoder)
  x = jnp.concatenate([x, x + 1.0])
  key = jax.random.key(3)

  def encode(x, axis_name):
    keys = collectives.row_keys(key, len(x), axis_name)
    return encoder.apply(variables, x, True, axis_name, keys)[0]

  one = jax.jit(encode, static_argnums=1)(x, None)
  two = jax.pmap(
    lambda x: encode(x, 'devices'), 'devices', devices=jax.devices()[:2]
  )(x.reshape(2, 2, *x.shape[1:]))
  chex.assert_trees_all_close(two.reshape(one.shape), one, atol=1e-5)
  evaluated = jax.jit(encoder.apply)(variables, x)[0]
  assert jnp.abs(evaluated - one).max() > 1e-2


def test_remat_leaves_gradients_unchanged():
  encoder = _small(drop_path=0.5)
  x, variables = _setup(encoder)
  keys = jax.random.split(jax.random.key(0), 2)

  def gradients(encoder):
    def loss(params):
      features, _ = encoder.apply({'params': params}, x, True, keys=keys)
      return features[:, 0].sum()

    return jax.jit(jax.grad(loss))(variables['params'])

  chex.assert_trees_all_close(
    gradients(encoder),
    gradients(_small(drop_path=0.5, remat=True)),
    rtol=1e-4,
    atol=1e-6,
  )


def test_bfloat16_keeps_float32_variables_and_features():
  options = {'num_registers': 1, 'layer_scale': 0.1, 'pool': 'map', 'depth': 1}
  encoder = _small(dtype='bfloat16', use_mask_token=True, **options)
  x, variables = _setup(encoder)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {
    jnp.dtype('float32')
  }
  features, out = _encode(encoder, variables, x)
  assert features.dtype == jnp.float32
  assert out['encoded'].dtype == jnp.bfloat16
  exact, _ = _encode(_small(use_mask_token=True, **options), variables, x)
  # bfloat16 has 8 bits: 0.4 % a rounding, some of which add up.
  assert timm_reference.relative_error(features, exact) < 0.05


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'pool': 'mean'}, 'unknown ViT pool'),
    ({'position': 'sincos'}, 'sincos_mae'),
    ({'num_heads': 5}, 'not divisible by num_heads'),
    ({'drop_path': 1.0}, r'ViT drop_path is 1.0; it must be in \[0, 1\)'),
    ({'class_token': False}, "pool='cls'"),
    ({'depth': 0}, 'ViT depth is 0; it must be positive'),
  ],
)
def test_wrong_attributes_are_user_errors(options, message):
  with pytest.raises(errors.UserError, match=message):
    _small(**options)


def test_wrong_calls_are_user_errors():
  encoder = _small(drop_path=0.1)
  x, variables = _setup(encoder)
  with pytest.raises(errors.UserError, match='30x32'):
    jax.eval_shape(encoder.apply, variables, x[:, :30])
  with pytest.raises(errors.UserError, match='use_mask_token'):
    _encode(encoder, variables, x, mask=jnp.zeros((2, 16), bool))
  with pytest.raises(errors.UserError, match='keys'):
    _encode(encoder, variables, x, True)


def test_pixels_beyond_the_grid_are_not_seen():
  encoder = _small(grid=(4, 4))
  x, variables = _setup(encoder, 32)
  wide = np.pad(x, [(0, 0), (0, 5), (0, 3), (0, 0)], constant_values=9.0)
  ours, out = _encode(encoder, variables, wide)
  expected, _ = _encode(encoder, variables, x)
  np.testing.assert_array_equal(ours, expected)
  assert out['patches'].shape[1] == 16


@pytest.mark.parametrize('grid', [None, (3, 3), (4, 5)])
def test_pixels_beyond_another_grid_are_refused(grid):
  encoder = _small(grid=grid)
  with pytest.raises(errors.UserError, match=r'35x35 pixels.*grid=\(4, 4\)'):
    encoder.grid_of(jnp.zeros((1, 35, 35, 3)))


def test_so400m_takes_384_pixels_as_27_patches_of_14():
  encoder = models.make_encoder('siglip_vit_so400m14', grid=(27, 27))
  x = jax.ShapeDtypeStruct((1, 384, 384, 3), jnp.float32)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
  assert shapes['params']['pos_embed'].shape == (1, 729, 1152)
