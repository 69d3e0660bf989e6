"""DINOv3's vision transformers from and to timm and transformers."""

import pytest

from tests.models.timm_reference import relative_error
from tests.weights import released

# timm's name of the size -> width, heads, gated MLPs.
SIZES = {
  'small': (384, 6, False),
  'small_plus': (384, 6, True),
  'base': (768, 12, False),
  'large': (1024, 16, False),
  'huge_plus': (1280, 20, True),
}
CASES = [
  ('small', 2),
  ('small_plus', 2),
  pytest.param('small', 12, marks=pytest.mark.slow),
  *(
    pytest.param(size, 2, marks=pytest.mark.slow)
    for size in ('base', 'large', 'huge_plus')
  ),
]
SIDES = (96, 160)
# transformers resizes DINOv3's pictures as floats, without rounding to 1/255 as
# Pillow does: up to one step of a byte over the deviation of a channel.
BYTE = 1.01 / 255 / 0.224


def _processor():
  import transformers

  size = {'height': SIDES[0], 'width': SIDES[0]}
  return transformers.DINOv3ViTImageProcessor(size=size)


@pytest.mark.reference
@pytest.mark.parametrize('bias', ['', '_qkvb'])
@pytest.mark.parametrize(('size', 'depth'), CASES)
def test_features_equal_timm(size, depth, bias, tmp_path):
  import timm

  model = released.from_timm(
    tmp_path / 'model',
    f'vit_{size}_patch16_dinov3{bias}',
    SIDES[0],
    depth=depth,
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
@pytest.mark.parametrize(('size', 'depth'), CASES)
def test_tokens_equal_transformers(size, depth, tmp_path):
  import transformers

  dim, heads, gated = SIZES[size]
  config = transformers.DINOv3ViTConfig(
    hidden_size=dim,
    intermediate_size=4 * dim,
    num_hidden_layers=depth,
    num_attention_heads=heads,
    use_gated_mlp=gated,
    hidden_act='silu' if gated else 'gelu',
    num_register_tokens=4,
  )
  processor = _processor()
  model = released.from_transformers(
    tmp_path / 'model', transformers.DINOv3ViTModel(config), processor
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  shown = released.assert_same_pixels(
    exported,
    lambda x: processor(x, return_tensors='pt')['pixel_values'][0],
    atol=BYTE,
  )
  for images in (shown, released.images(SIDES[1])):
    theirs = released.tokens_of_transformers(model, images)
    _, tokens = released.ours(exported, images)
    assert relative_error(tokens, theirs) < released.TOLERANCE


@pytest.mark.reference
@pytest.mark.parametrize('act', ['gelu', 'swiglu'])
@pytest.mark.parametrize('library', released.LIBRARIES)
def test_export_and_back(library, act, tmp_path):
  section = {
    'name': 'dinov3_vit_s16',
    'dim': 64,
    'depth': 2,
    'num_heads': 4,
    'rope_base': 50.0,
    'act': act,
  }
  released.check_round_trip(library, section, SIDES, tmp_path)
