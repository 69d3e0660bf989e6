"""Supervised ViTs, MAE, I-JEPA, CLIP and SigLIP towers, from their files."""

import pytest

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


def _model(kind):
  import transformers

  makers = {
    'vit': (transformers.ViTConfig, transformers.ViTModel),
    'ijepa': (transformers.IJepaConfig, transformers.IJepaModel),
    'clip': (transformers.CLIPVisionConfig, transformers.CLIPVisionModel),
    'siglip': (transformers.SiglipVisionConfig, transformers.SiglipVisionModel),
  }
  config, model = makers[kind]
  return model(config(**TINY))


def _processor(kind):
  import transformers

  side = {'height': SIDES[0], 'width': SIDES[0]}
  if kind == 'clip':
    return transformers.CLIPImageProcessorPil(
      size={'shortest_edge': SIDES[0]}, crop_size=side
    )
  if kind == 'siglip':
    return transformers.SiglipImageProcessorPil(size=side)
  return transformers.ViTImageProcessorPil(size=side)


@pytest.mark.reference
@pytest.mark.parametrize('kind', ['vit', 'ijepa', 'clip', 'siglip'])
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
    if kind == 'clip':  # its last norm is for the class token alone
      theirs = model.post_layernorm(_tensor(theirs)).detach().numpy()
    assert relative_error(tokens, theirs) < released.TOLERANCE


def _tensor(array):
  import torch

  return torch.from_numpy(array)


@pytest.mark.reference
@pytest.mark.parametrize(
  'name', ['vit_base_patch16_224', 'vit_base_patch16_siglip_224']
)
def test_features_equal_timm(name, tmp_path):
  import timm

  model = released.from_timm(
    tmp_path / 'model',
    name,
    SIDES[0],
    depth=2,
    img_size=SIDES[0],
    dynamic_img_size=True,
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  config = timm.data.resolve_model_data_config(model)
  shown = released.assert_same_pixels(
    exported, timm.data.create_transform(**config)
  )
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
  ],
)
def test_export_to_transformers_and_back(section, tmp_path):
  tiny = {'name': 'vit_s16', 'dim': 64, 'depth': 2, 'num_heads': 4}
  # Of its own size only: transformers interpolates fixed positions.
  sides = SIDES[:1] if 'position' in section else SIDES
  section = {**tiny, 'antialias': False, **section}
  released.check_round_trip('huggingface', section, sides, tmp_path)
