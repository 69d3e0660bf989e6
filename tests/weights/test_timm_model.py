import dataclasses
import json

import chex
import jax
import numpy as np
import pytest

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.weights import safetensors_file, timm, timm_model
from jaxssl.weights.exported import ExportedEncoder
from tests.models import timm_reference

SIZE = 32
_TINY = {'dim': 32, 'depth': 2, 'num_heads': 4}
_TINY_CONVNEXT = {'blocks': (1, 2, 1, 1), 'width': 16}


def _exported(name, **section):
  encoder = models.make_encoder(name, **section)
  variables = timm_reference.random_variables(
    encoder, timm_reference.images(SIZE)
  )
  return ExportedEncoder(
    section={'name': name, **section},
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=usual(SIZE),
    step=1,
    config_hash='x',
  )


@pytest.mark.reference
@pytest.mark.parametrize(
  ('name', 'section'),
  [
    ('resnet18', {}),
    ('convnext_t', _TINY_CONVNEXT),
    ('convnextv2_t', _TINY_CONVNEXT),
    ('convnext_t', {**_TINY_CONVNEXT, 'epsilon': 0.1}),
    ('vit_s8', _TINY),
    ('vit_s8', {**_TINY, 'pool': 'avg', 'layer_scale': 0.1}),
    ('vit_s8', {**_TINY, 'pool': 'avg', 'fc_norm': False}),
    ('vit_s8', {**_TINY, 'position': 'sincos_mae', 'num_registers': 2}),
    (
      'vit_s8',
      {**_TINY, 'position': 'none', 'class_token': False} | {'pool': 'avg'},
    ),
    ('vit_s8', {**_TINY, 'prefix_positions': False, 'mlp_ratio': 3.0}),
    ('clip_vit_b8', _TINY),
    ('siglip_vit_b8', _TINY),
  ],
)
def test_timm_makes_the_model_from_the_folder(name, section, tmp_path):
  import timm

  exported = _exported(name, **section)
  assert timm_model.save(tmp_path, exported)
  model = timm.create_model(f'local-dir:{tmp_path}', pretrained=True).eval()
  error = timm_reference.features_error(
    exported.encoder, exported.variables, model, SIZE
  )
  assert error < 1e-5
  assert tuple(model.pretrained_cfg['mean']) == exported.mean


@pytest.mark.reference
def test_positions_of_another_grid_are_interpolated_as_here(tmp_path):
  import timm

  exported = dataclasses.replace(
    _exported('vit_s8', **_TINY), preprocessing=usual(2 * SIZE)
  )
  assert timm_model.save(tmp_path, exported)
  model = timm.create_model(f'local-dir:{tmp_path}', pretrained=True).eval()
  error = timm_reference.features_error(
    exported.encoder, exported.variables, model, 2 * SIZE
  )
  assert error < 1e-5


@pytest.mark.parametrize(
  ('name', 'section'),
  [
    ('resnet18', {'stem': 'cifar'}),
    ('resnet18', {'width': 0.125}),
    ('convnext_t', {**_TINY_CONVNEXT, 'stem_size': 2}),
    ('vit_s8', {**_TINY, 'position': 'relative'}),
    ('vit_s8', {**_TINY, 'stem': 'conv'}),
    ('vit_s8', {**_TINY, 'epsilon': 1e-12}),
  ],
)
def test_what_timm_lacks_names_no_architecture(name, section, tmp_path):
  exported = _exported(name, **section)
  assert not timm_model.save(tmp_path, exported)
  info = json.loads((tmp_path / 'config.json').read_text())
  assert 'architecture' not in info


def test_fixed_positions_are_read_back_as_such(tmp_path):
  exported = _exported('vit_s8', **_TINY, position='sincos_moco')
  timm_model.save(tmp_path, exported)
  tensors = safetensors_file.read(tmp_path / 'model.safetensors')
  assert tensors['pos_embed'].shape == (1, 16, 32)
  found = timm.from_timm(tensors, exported.variables)
  chex.assert_trees_all_equal(found, exported.variables)
  learned = tensors | {'pos_embed': tensors['pos_embed'] + 1}
  with pytest.raises(UserError, match='pos_embed is not used'):
    timm.from_timm(learned, exported.variables)
