import dataclasses

import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.weights import huggingface_towers
from tests.weights import program_cases

SMALL = {'dim': 16, 'depth': 1, 'num_heads': 2}
CLIP = {'name': 'clip_vit_b8', **SMALL}
SIGLIP = {'name': 'siglip_vit_b8', **SMALL}


@pytest.mark.parametrize(
  ('section', 'model', 'act'),
  [
    (CLIP, 'CLIPVisionModel', 'quick_gelu'),
    (SIGLIP, 'SiglipVisionModel', 'gelu_pytorch_tanh'),
  ],
)
def test_config_and_names(section, model, act):
  exported = program_cases.exported(section)
  encoder, variables = exported.encoder, exported.variables
  assert huggingface_towers.is_tower(encoder)
  config, tensors = huggingface_towers.convert(encoder, variables, 32)
  assert config['architectures'] == [model]
  assert (config['image_size'], config['patch_size']) == (32, 8)
  assert config['hidden_act'] == act
  assert tensors['embeddings.position_embedding.weight'].ndim == 2
  assert not any('attn_pool' in name or 'blocks' in name for name in tensors)


def test_images_with_pixels_left_over_keep_their_side():
  exported = program_cases.exported(SIGLIP)
  for side, written in ((35, 35), (64, 32)):
    config, _ = huggingface_towers.convert(
      exported.encoder, exported.variables, side
    )
    assert config['image_size'] == written


def test_models_of_images_alone_are_no_towers():
  exported = program_cases.exported({'name': 'vit_s8', **SMALL})
  assert not huggingface_towers.is_tower(exported.encoder)


@pytest.mark.parametrize(
  ('section', 'message'),
  [
    (
      CLIP | {'num_registers': 1},
      'CLIPVisionModel.*encoder.num_registers is 1',
    ),
    (CLIP | {'act': 'swiglu'}, "act is 'swiglu'"),
    (SIGLIP | {'class_token': True}, 'SiglipVisionModel.*encoder.class_token'),
    (SIGLIP | {'layer_scale': 0.1}, 'encoder.layer_scale is 0.1, not None'),
  ],
)
def test_what_they_cannot_be_told_is_refused(section, message):
  exported = program_cases.exported(section)
  with pytest.raises(UserError, match=message):
    huggingface_towers.convert(exported.encoder, exported.variables, 32)


def test_oblong_images_are_refused():
  exported = program_cases.exported(CLIP)
  encoder = dataclasses.replace(exported.encoder, grid=(2, 8))
  with pytest.raises(UserError, match='no squares'):
    huggingface_towers.convert(encoder, exported.variables, 32)
  table = {'params': {'pos_embed': np.zeros((1, 8, 16))}}
  with pytest.raises(UserError, match='no squares'):
    huggingface_towers.side_of(encoder, table, 'CLIPVisionModel')
