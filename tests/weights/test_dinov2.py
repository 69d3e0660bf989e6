"""DINOv2 from the files of timm and transformers, recognised from them."""

import pytest

from tests.models.timm_reference import relative_error
from tests.weights import released

# Width and heads.
WIDTHS = {
  'small': (384, 6),
  'base': (768, 12),
  'large': (1024, 16),
  'giant': (1536, 24),
}
# Size, registers, blocks: all of S, two of the others.
CASES = [
  ('small', 0, 2),
  ('small', 4, 2),
  *(
    pytest.param(size, registers, depth, marks=pytest.mark.slow)
    for size, depth in (
      ('small', 12),
      ('base', 2),
      ('large', 2),
      ('giant', 2),
    )
    for registers in (0, 4)
  ),
]
SIZES = (224, 154)


def _timm(folder, size, registers, depth):
  infix = '_reg4' if registers else ''
  return released.from_timm(
    folder,
    f'vit_{size}_patch14{infix}_dinov2',
    SIZES[0],
    depth=depth,
    img_size=SIZES[0],
    dynamic_img_size=True,
  )


def _transformers(folder, size, registers, depth):
  import transformers

  dim, heads = WIDTHS[size]
  shared = {
    'hidden_size': dim,
    'num_hidden_layers': depth,
    'num_attention_heads': heads,
    'image_size': 518,
    'use_swiglu_ffn': size == 'giant',
  }
  if registers:
    config = transformers.Dinov2WithRegistersConfig(
      **shared, num_register_tokens=registers
    )
    model = transformers.Dinov2WithRegistersModel(config)
  else:
    model = transformers.Dinov2Model(transformers.Dinov2Config(**shared))
  return released.from_transformers(folder, model, _processor())


def _processor():
  import transformers

  return transformers.BitImageProcessorPil(
    size={'shortest_edge': 256},
    image_mean=(0.485, 0.456, 0.406),
    image_std=(0.229, 0.224, 0.225),
  )


@pytest.mark.reference
@pytest.mark.parametrize(('size', 'registers', 'depth'), CASES)
def test_features_equal_timm(size, registers, depth, tmp_path):
  import timm

  model = _timm(tmp_path / 'model', size, registers, depth)
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  config = timm.data.resolve_model_data_config(model)
  shown = released.assert_same_pixels(
    exported, timm.data.create_transform(**config)
  )
  for images in (shown, *map(released.images, SIZES)):
    theirs = released.features_of_timm(model, images)
    features, _ = released.ours(exported, images)
    assert relative_error(features, theirs) < released.TOLERANCE


@pytest.mark.reference
@pytest.mark.parametrize(('size', 'registers', 'depth'), CASES)
def test_tokens_equal_transformers(size, registers, depth, tmp_path):
  model = _transformers(tmp_path / 'model', size, registers, depth)
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  processor = _processor()
  shown = released.assert_same_pixels(
    exported, lambda x: processor(x)['pixel_values'][0]
  )
  theirs = released.tokens_of_transformers(model, shown)
  _, tokens = released.ours(exported, shown)
  assert relative_error(tokens, theirs) < released.TOLERANCE


TINY = {'dim': 64, 'depth': 2, 'num_heads': 4, 'patch_size': 14}


@pytest.mark.reference
@pytest.mark.parametrize('size', ['s', 'g'])
@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize('library', released.LIBRARIES)
def test_export_and_back(library, size, registers, tmp_path):
  section = {
    'name': f'dinov2_vit_{size}14',
    **TINY,
    # Units of a gated MLP there are multiples of 8.
    'mlp_ratio': {'s': 4.0, 'g': 2.75}[size],
    'num_registers': registers,
    'prefix_positions': not registers,
    'antialias': library == 'timm' or bool(registers),
  }
  released.check_round_trip(library, section, SIZES, tmp_path)
