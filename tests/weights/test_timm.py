import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models import positions
from jaxssl.weights import safetensors_file
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference

TINY = {'dim': 32, 'depth': 2, 'num_heads': 2}
ENCODERS = {
  'resnet': models.make_encoder('resnet50', width=0.0625),
  'convnext': models.make_encoder('convnext_t', blocks=(1, 2, 1, 1), width=8),
  'convnext v2': models.make_encoder(
    'convnextv2_atto', blocks=(1, 2, 1, 1), width=8
  ),
  'cls and registers': models.make_encoder(
    'vit_ti8', num_registers=2, layer_scale=0.1, **TINY
  ),
  'avg': models.make_encoder('vit_ti8', pool='avg', **TINY),
  'map': models.make_encoder('vit_ti8', pool='map', class_token=False, **TINY),
}


def _variables(encoder, size=32):
  x = jnp.zeros((1, size, size, 3))
  return timm_reference.random_variables(encoder, x)


@pytest.mark.parametrize('name', ENCODERS)
def test_round_trip_is_exact_through_a_file(name, tmp_path):
  variables = _variables(ENCODERS[name])
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, timm_weights.to_timm(variables))
  shapes = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), variables
  )
  back = timm_weights.from_timm(safetensors_file.read(path), shapes)
  chex.assert_trees_all_equal(back, variables)


@pytest.mark.reference
@pytest.mark.parametrize(
  ('timm_name', 'timm_options', 'encoder'),
  [
    ('resnet50', {}, models.make_encoder('resnet50')),
    ('resnet34', {}, models.make_encoder('resnet34')),
    ('convnext_tiny', {}, models.make_encoder('convnext_t')),
    ('convnextv2_tiny', {}, models.make_encoder('convnextv2_t')),
    (
      'vit_tiny_patch16_224',
      {'reg_tokens': 4, 'init_values': 1e-5},
      models.make_encoder('vit_ti16', num_registers=4, layer_scale=1e-5),
    ),
    (
      'vit_tiny_patch16_224',
      {'global_pool': 'map', 'class_token': False},
      models.make_encoder('vit_ti16', pool='map', class_token=False),
    ),
  ],
)
def test_timm_loads_our_tensors_strictly(timm_name, timm_options, encoder):
  import timm
  import torch

  with torch.device('meta'):
    model = timm.create_model(timm_name, num_classes=0, **timm_options)
  tensors = timm_weights.to_timm(_variables(encoder, 224))
  model.load_state_dict(
    {k: torch.from_numpy(v) for k, v in tensors.items()},
    strict=True,
    assign=True,
  )


def test_names_and_layouts_follow_the_rule():
  tensors = timm_weights.to_timm(_variables(ENCODERS['resnet']))
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  assert shapes['conv1.weight'] == (4, 3, 7, 7)
  assert shapes['layer2.0.downsample.0.weight'] == (32, 16, 1, 1)
  assert shapes['layer2.0.downsample.1.running_var'] == (32,)
  tensors = timm_weights.to_timm(_variables(ENCODERS['cls and registers']))
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  assert shapes['blocks.1.attn.qkv.weight'] == (96, 32)
  assert shapes['blocks.0.ls1.gamma'] == (32,)
  assert shapes['patch_embed.proj.weight'] == (32, 3, 8, 8)
  assert shapes['reg_token'] == (1, 2, 32)


def test_classifier_and_counters_are_ignored():
  variables = _variables(ENCODERS['resnet'])
  tensors = timm_weights.to_timm(variables)
  extra = {
    'fc.weight': np.zeros((10, 128), np.float32),
    'head.bias': np.zeros(10, np.float32),
    'bn1.num_batches_tracked': np.int64(3),
  }
  back = timm_weights.from_timm(tensors | extra, variables)
  chex.assert_trees_all_equal(back, variables)


def test_position_embeddings_of_another_grid_are_interpolated():
  encoder = ENCODERS['cls and registers']
  big, small = _variables(encoder, 48), _variables(encoder, 32)
  back = timm_weights.from_timm(timm_weights.to_timm(big), small)
  table = big['params']['pos_embed'][0]
  patches = positions.interpolate(table[3:], (6, 6), (4, 4))
  expected = np.concatenate([table[:3], patches])[None]
  chex.assert_trees_all_close(back['params']['pos_embed'], expected)


def test_mask_token_keeps_its_value_and_is_not_exported():
  encoder = models.make_encoder('vit_ti8', use_mask_token=True, **TINY)
  variables = _variables(encoder)
  tensors = timm_weights.to_timm(variables)
  assert 'mask_token' not in tensors
  back = timm_weights.from_timm(tensors, variables)
  chex.assert_trees_all_equal(back, variables)
  shapes = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), variables
  )
  with pytest.raises(errors.UserError, match='mask_token is missing'):
    timm_weights.from_timm(tensors, shapes)


def _drop(tensors):
  del tensors['norm.weight']


def _add(tensors):
  tensors['blocks.2.norm1.bias'] = np.zeros(32, np.float32)


def _reshape(tensors):
  tensors['blocks.0.mlp.fc1.bias'] = np.zeros(64, np.float32)


def _rank(tensors):
  tensors['pos_embed'] = np.zeros(5, np.float32)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (_drop, 'norm.weight is missing'),
    (_add, 'blocks.2.norm1.bias is not used'),
    (_reshape, r'blocks.0.mlp.fc1.bias has shape \(64,\), not \(128,\)'),
    (_rank, r'pos_embed has shape \(5,\)'),
  ],
)
def test_other_architectures_are_user_errors(change, message):
  variables = _variables(ENCODERS['cls and registers'])
  tensors = timm_weights.to_timm(variables)
  change(tensors)
  with pytest.raises(errors.UserError, match=message):
    timm_weights.from_timm(tensors, variables)


def test_mismatches_are_counted():
  variables = _variables(ENCODERS['map'])
  tensors = timm_weights.to_timm(_variables(ENCODERS['resnet']))
  count = len(tensors) + len(timm_weights.to_timm(variables)) - 3
  with pytest.raises(errors.UserError, match=f'and {count} more'):
    timm_weights.from_timm(tensors, variables)
