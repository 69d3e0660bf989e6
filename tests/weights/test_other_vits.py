"""Supervised ViTs, MAE, I-JEPA, CLIP and SigLIP towers, from their files."""

import chex
import numpy as np
import pytest

from jaxssl.weights import safetensors_file, timm
from jaxssl.weights.preprocessors import RELEASED
from tests.models import timm_reference
from tests.models.timm_reference import relative_error
from tests.weights import released

SIDES = (64, 96)
TINY = {
  'hidden_size': 64,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
  'intermediate_size': 160,
  'image_size': SIDES[0],
  'patch_size': 16,
}
_CLIPS = ('clip', 'metaclip2')


def _model(kind):
  import transformers

  makers = {
    'vit': (transformers.ViTConfig, transformers.ViTModel),
    'ijepa': (transformers.IJepaConfig, transformers.IJepaModel),
    'clip': (transformers.CLIPVisionConfig, transformers.CLIPVisionModel),
    'siglip': (transformers.SiglipVisionConfig, transformers.SiglipVisionModel),
    'metaclip2': (
      transformers.MetaClip2VisionConfig,
      transformers.MetaClip2VisionModel,
    ),
  }
  config, model = makers[kind]
  return model(config(**TINY))


def _processor(kind):
  import transformers

  side = {'height': SIDES[0], 'width': SIDES[0]}
  if kind in _CLIPS:
    return transformers.CLIPImageProcessorPil(
      size={'shortest_edge': SIDES[0]}, crop_size=side
    )
  if kind == 'siglip':
    return transformers.SiglipImageProcessorPil(size=side)
  return transformers.ViTImageProcessorPil(size=side)


@pytest.mark.reference
@pytest.mark.parametrize(
  'kind', ['vit', 'ijepa', 'clip', 'siglip', 'metaclip2']
)
def test_tokens_equal_transformers(kind, tmp_path):
  processor = _processor(kind)
  model = released.from_transformers(
    tmp_path / 'model', _model(kind), processor
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  shown = released.assert_same_pixels(
    exported, lambda x: processor(x)['pixel_values'][0]
  )
  for images in (shown, released.images(SIDES[1])):
    theirs = released.tokens_of_transformers(model, images)
    _, tokens = released.ours(exported, images)
    if kind in _CLIPS:  # its last norm is for the class token alone
      theirs = model.post_layernorm(_tensor(theirs)).detach().numpy()
    assert relative_error(tokens, theirs) < released.TOLERANCE


def _tensor(array):
  import torch

  return torch.from_numpy(array)


@pytest.mark.reference
@pytest.mark.parametrize(
  'name',
  [
    'vit_tiny_patch16_224',
    'vit_base_patch16_siglip_224',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in (
        'vit_small_patch32_224',
        'vit_base_patch16_224',
        'vit_large_patch16_224',
        'vit_so400m_patch16_siglip_256',  # of SigLIP 2, as the next
        'vit_giantopt_patch16_siglip_256',
      )
    ),
  ],
)
def test_features_equal_timm(name, tmp_path):
  from timm import data

  model = released.from_timm(
    tmp_path / 'model',
    name,
    SIDES[0],
    depth=2,
    img_size=SIDES[0],
    dynamic_img_size=True,
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  config = data.resolve_model_data_config(model)
  shown = released.assert_same_pixels(exported, data.create_transform(**config))
  for images in (shown, released.images(SIDES[1])):
    theirs = released.features_of_timm(model, images)
    features, _ = released.ours(exported, images)
    assert relative_error(features, theirs) < released.TOLERANCE


@pytest.mark.reference
@pytest.mark.parametrize(
  'section',
  [
    {'position': 'sincos_mae'},
    {'class_token': False, 'pool': 'avg', 'fc_norm': False},
    {'act': 'gelu_tanh', 'epsilon': 1e-12},
    {'name': 'clip_vit_b16'},
    {'name': 'siglip_vit_b16', 'mlp_ratio': 2.5},
  ],
)
def test_export_to_transformers_and_back(section, tmp_path):
  tiny = {'name': 'vit_s16', 'dim': 64, 'depth': 2, 'num_heads': 4}
  # Of its own size only: transformers interpolates fixed positions.
  sides = SIDES[:1] if 'position' in section else SIDES
  section = {**tiny, 'antialias': False, **section}
  released.check_round_trip('huggingface', section, sides, tmp_path)


def _mae(folder):
  """Writes a ViTMAE as it is uploaded; fixed positions, random weights."""
  import transformers

  config = transformers.ViTMAEConfig(
    **TINY | {'hidden_size': 192, 'num_attention_heads': 3},
    decoder_hidden_size=32,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=64,
    mask_ratio=0.0,
  )
  model = transformers.ViTMAEForPreTraining(config)
  fixed = model.vit.embeddings.position_embeddings.data.clone()
  processor = transformers.ViTImageProcessorPil(
    size={'height': SIDES[0], 'width': SIDES[0]}
  )
  released.from_transformers(folder, model, processor)
  model.vit.embeddings.position_embeddings.data = fixed
  model.save_pretrained(folder)
  return model


@pytest.mark.reference
def test_mae_needs_no_further_words(tmp_path):
  import torch

  model = _mae(tmp_path / 'model')
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  for side in SIDES:
    images = released.images(side)
    count = (side // TINY['patch_size']) ** 2
    with torch.no_grad():
      theirs = model.vit(
        timm_reference.to_torch(images),
        noise=torch.arange(count, dtype=torch.float32)[None],  # all, in order
        interpolate_pos_encoding=True,
      )
    _, tokens = released.ours(exported, images)
    theirs = theirs.last_hidden_state.numpy()
    assert relative_error(tokens, theirs) < released.TOLERANCE
  # The weights alone, without a file beside them.
  alone = tmp_path / 'alone.safetensors'
  (tmp_path / 'model' / 'model.safetensors').rename(alone)
  bare = released.imported(alone, tmp_path / 'bare')
  # Of the size that its positions are stored for.
  assert bare.preprocessing == RELEASED['vit_mae'].of_size(SIDES[0])
  assert bare.section['depth'] == TINY['num_hidden_layers']


def test_mae_of_its_authors_has_a_decoder_beside_it(tmp_path):
  section = {'name': 'vit_ti16', 'depth': 1}
  exported = released.random_export(section, SIDES[0])
  tensors = timm.to_timm(exported.variables)
  tensors['mask_token'] = np.zeros((1, 1, 32), np.float32)
  tensors['decoder_blocks.0.norm1.weight'] = np.zeros(32, np.float32)
  path = tmp_path / 'mae.safetensors'
  safetensors_file.write(path, tensors)
  back = released.imported(path, tmp_path / 'run', '--image_size=64')
  chex.assert_trees_all_equal(back.variables, exported.variables)
