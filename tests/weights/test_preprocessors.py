"""Rules in the words of other libraries, and pixels beside their own code."""

import dataclasses
import json
import math

import numpy as np
from PIL import Image
import pytest

from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.data import crop
from jaxssl.errors import UserError
from jaxssl.weights import preprocessors
from tests.data.test_crop import SIDES, picture

SMALL = {
  'size': {'shortest_edge': 27},
  'crop_size': {'height': 24, 'width': 24},
}
SQUARE = {'size': {'height': 24, 'width': 24}}
# Class of transformers -> arguments of its image processor.
PROCESSORS = {
  'CLIP': [
    SMALL,
    {**SMALL, 'resample': 2},
    {
      'size': {'shortest_edge': 24},
      **{'crop_size': {'height': 24, 'width': 24}},
    },
  ],
  'Bit': [SMALL],
  'Siglip': [SQUARE, {**SQUARE, 'resample': 1}],
  'ViT': [SQUARE, {**SQUARE, 'do_normalize': False}],
  'Beit': [
    SQUARE,
    {
      'size': {'height': 27, 'width': 27},
      'do_center_crop': True,
      'crop_size': {'height': 24, 'width': 24},
    },
  ],
  'DeiT': [
    {
      'size': {'height': 27, 'width': 27},
      'crop_size': {'height': 24, 'width': 24},
    }
  ],
}
CASES = [
  (name, i) for name, given in PROCESSORS.items() for i in range(len(given))
]


def _processor(name, number, backend):
  import transformers

  kind = getattr(transformers, f'{name}ImageProcessor{backend}')
  return kind(**PROCESSORS[name][number])


def _rule(processor, folder):
  processor.save_pretrained(folder)
  text = (folder / 'preprocessor_config.json').read_text()
  return preprocessors.from_transformers(json.loads(text))


@pytest.mark.reference
@pytest.mark.parametrize(('name', 'number'), CASES)
def test_pixels_are_those_of_transformers(name, number, tmp_path):
  processor = _processor(name, number, 'Pil')
  rule = _rule(processor, tmp_path)
  mean, std = (np.array(v).reshape(3, 1, 1) for v in (rule.mean, rule.std))
  for sides in SIDES:
    image = Image.fromarray(picture(*sides))
    ours = crop.prepare(np.asarray(image), rule).transpose(2, 0, 1)
    raw = {'do_rescale': False, 'do_normalize': False}
    theirs = np.asarray(processor(image, **raw)['pixel_values'][0])
    np.testing.assert_array_equal(ours, theirs, str(sides))
    # float32 on one side.
    np.testing.assert_allclose(
      (ours / 255 - mean) / std,
      np.asarray(processor(image)['pixel_values'][0]),
      atol=1e-5,
    )


@pytest.mark.reference
@pytest.mark.parametrize(('name', 'number'), CASES)
def test_pixels_are_within_a_level_of_transformers_on_tensors(
  name, number, tmp_path
):
  """torchvision's filters of tensors round otherwise than Pillow."""
  processor = _processor(name, number, '')
  rule = _rule(processor, tmp_path)
  if rule.interpolation == 'lanczos':
    pytest.skip('Pillow has it, tensors only in newer versions')
  for sides in SIDES:
    image = Image.fromarray(picture(*sides))
    ours = crop.prepare(np.asarray(image), rule).transpose(2, 0, 1)
    raw = {'do_rescale': False, 'do_normalize': False}
    theirs = np.asarray(processor(image, **raw)['pixel_values'][0])
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1, sides


@pytest.mark.reference
@pytest.mark.parametrize('name', PROCESSORS)
def test_what_a_file_leaves_out_is_what_transformers_takes(name, tmp_path):
  import transformers

  whole = getattr(transformers, f'{name}ImageProcessor')()
  bare = {'image_processor_type': f'{name}ImageProcessor'}
  assert preprocessors.from_transformers(bare) == _rule(whole, tmp_path)


@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    (
      # Of 2021: sides as numbers, and another name of the class.
      {
        'feature_extractor_type': 'CLIPFeatureExtractor',
        'crop_size': 224,
        'size': 256,
        'resample': 3,
      },
      dataclasses.replace(
        preprocessors.RELEASED['clip'], resize_size=256, offset='floor'
      ),
    ),
    (
      {'feature_extractor_type': 'ViTFeatureExtractor', 'size': 384},
      dataclasses.replace(
        preprocessors.RELEASED['vit'].of_size(384), offset='floor'
      ),
    ),
    (
      # Pixels of 0 to 255, as some configurations have them.
      {
        'image_processor_type': 'ViTImageProcessorFast',
        'do_rescale': False,
        'image_mean': [127.5] * 3,
        'image_std': [127.5] * 3,
      },
      dataclasses.replace(preprocessors.RELEASED['vit'], offset='floor'),
    ),
  ],
)
def test_older_and_rarer_words_of_transformers(config, expected):
  assert preprocessors.from_transformers(config) == expected


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'image_processor_type': 'OwlViTImageProcessor'}, 'OwlViTImageProcessor'),
    ({'image_processor_type': None}, 'image_processor_type'),
    ({'do_resize': False}, 'do_resize is false'),
    ({'do_center_crop': False}, 'pictures keep their shape'),
    ({'size': {'height': 24, 'width': 32}}, r'size is \[24, 32\]'),
    (
      {'size': {'shortest_edge': 24, 'longest_edge': 99}},
      'must become squares',
    ),
    ({'crop_size': {'height': 24, 'width': 8}}, r'crop_size is \[24, 8\]'),
    ({'crop_size': 500}, 'cannot be cut out'),
    ({'resample': 9}, 'resample is 9'),
    ({'resample': 'bicubic'}, "resample is 'bicubic'"),
  ],
)
def test_rules_of_transformers_that_are_not_here(changes, message):
  config = {'image_processor_type': 'CLIPImageProcessor', **changes}
  with pytest.raises(UserError, match=message):
    preprocessors.from_transformers(config)


@pytest.mark.reference
@pytest.mark.parametrize('resize_mode', ['shortest', 'squash'])
@pytest.mark.parametrize('interpolation', ['bicubic', 'bilinear'])
def test_pixels_are_those_of_open_clip(resize_mode, interpolation):
  from open_clip import transform

  config = {
    'mean': [0.1, 0.2, 0.3],
    'std': [0.5, 0.25, 0.125],
    'resize_mode': resize_mode,
    'interpolation': interpolation,
  }
  rule = preprocessors.from_open_clip(
    config, image_size=24, default=preprocessors.RELEASED['clip']
  )
  assert rule.mean == (0.1, 0.2, 0.3)
  assert rule.std == (0.5, 0.25, 0.125)
  theirs = transform.image_transform_v2(
    transform.PreprocessCfg(size=24, **config), is_train=False
  )
  for sides in SIDES:
    image = Image.fromarray(picture(*sides))
    wanted = image
    for step in theirs.transforms[:-2]:  # without tensors and normalisation
      wanted = step(wanted)
    np.testing.assert_array_equal(
      crop.prepare(np.asarray(image), rule), np.asarray(wanted), str(sides)
    )


@pytest.mark.reference
def test_every_release_of_open_clip_has_its_rule():
  import open_clip
  from open_clip import pretrained

  seen = set()
  for model, tag in open_clip.list_pretrained():
    config = pretrained.get_pretrained_cfg(model, tag)
    wanted = transform_of(config)
    family = 'siglip' if 'SigLIP' in model else 'clip'
    rule = preprocessors.from_open_clip(
      config, image_size=224, default=preprocessors.RELEASED[family]
    )
    found = rule.resize, rule.interpolation, rule.mean, rule.std
    assert found == wanted, (model, tag)
    seen.add(found)
  assert len(seen) > 3


def transform_of(config):
  from open_clip import transform

  cfg = transform.PreprocessCfg(
    **transform.merge_preprocess_dict(transform.PreprocessCfg(), config)
  )
  return cfg.resize_mode, cfg.interpolation, tuple(cfg.mean), tuple(cfg.std)


@pytest.mark.reference
@pytest.mark.parametrize('crop_mode', ['center', 'squash'])
@pytest.mark.parametrize('crop_pct', [0.875, 0.9, 0.95, 1.0])
def test_pixels_are_those_of_timm(crop_mode, crop_pct):
  from timm import data

  config = {
    'input_size': (3, 26, 26),
    'interpolation': 'bicubic',
    'crop_pct': crop_pct,
    'crop_mode': crop_mode,
  }
  resolved = data.resolve_data_config(pretrained_cfg=config)
  theirs = data.create_transform(**resolved, normalize=False)
  rule = preprocessors.from_timm(config)
  for sides in SIDES:
    image = Image.fromarray(picture(*sides))
    np.testing.assert_array_equal(
      crop.prepare(np.asarray(image), rule).transpose(2, 0, 1),
      theirs(image).numpy(),
      str(sides),
    )


@pytest.mark.reference
def test_every_vit_and_resnet_of_timm_has_its_rule():
  import timm
  from timm import data

  names = [
    name
    for name in timm.list_models(pretrained=True)
    if name.startswith(('vit_', 'resnet', 'deit', 'beit'))
  ]
  refused = []
  for name in names:
    cfg = timm.get_pretrained_cfg(name)
    wanted = data.resolve_data_config(pretrained_cfg=cfg.to_dict())
    try:
      rule = preprocessors.from_timm(cfg.to_dict())
    except UserError as error:
      refused.append((name, str(error)))
      continue
    size = wanted['input_size'][-1]
    assert rule.image_size == size
    assert rule.resize_size == math.floor(size / wanted['crop_pct'])
    assert (rule.resize == 'squash') == (wanted['crop_mode'] == 'squash')
    assert rule.interpolation == wanted['interpolation']
    assert rule.mean == tuple(wanted['mean'])
    assert rule.std == tuple(wanted['std'])
  assert len(names) > 300
  # Only what are no squares by resizing and cutting.
  allowed = ('input_size is', 'crop_mode', 'cannot be cut')
  assert all(any(a in why for a in allowed) for _, why in refused), refused
  assert len(refused) < 0.05 * len(names), refused


def _rules():
  for size in (24, 32, 224, 384):
    for whole in range(size, 2 * size, 7):
      for resize in ('shortest', 'squash'):
        yield Preprocessing(
          image_size=size,
          resize_size=whole,
          resize=resize,
          interpolation='bilinear',
          mean=(0.1, 0.2, 0.3),
          std=(0.4, 0.5, 0.6),
        )


def test_what_is_written_for_timm_is_read_back():
  for rule in _rules():
    written = json.loads(json.dumps(preprocessors.to_timm(rule)))
    assert preprocessors.from_timm(written) == rule


def test_what_is_written_for_transformers_is_read_back():
  for rule in _rules():
    written = json.loads(json.dumps(preprocessors.to_transformers(rule)))
    # It cuts on its own side of half a pixel.
    expected = dataclasses.replace(rule, offset='floor')
    assert preprocessors.from_transformers(written) == expected


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    ({'crop_mode': 'border'}, "crop_mode 'border'"),
    ({'input_size': (1, 28, 28)}, 'a number per channel, of 1'),
    ({'input_size': (3, 64, 256)}, r'input_size is \[64, 256\]'),
    ({'interpolation': 'random'}, "interpolation 'random'"),
    ({'mean': (0.5,)}, 'a number per channel'),
  ],
)
def test_rules_of_timm_that_are_not_here(config, message):
  with pytest.raises(UserError, match=message):
    preprocessors.from_timm(config)


def test_a_rule_of_open_clip_that_is_not_here():
  with pytest.raises(UserError, match="resize_mode 'longest'"):
    preprocessors.from_open_clip(
      {'resize_mode': 'longest'},
      image_size=24,
      default=preprocessors.RELEASED['clip'],
    )
