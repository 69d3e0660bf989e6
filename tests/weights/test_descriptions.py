"""What is read of the files beside the weights."""

import json
import re

import pytest

from jaxssl.errors import UserError
from jaxssl.weights import descriptions
from jaxssl.weights.preprocessors import RELEASED


def _options(folder, library, name, content):
  file = folder / 'weights.safetensors'
  (folder / name).write_text(
    content if isinstance(content, str) else json.dumps(content)
  )
  return descriptions.describe(file, library).options


@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    ({'architectures': ['ViTModel']}, {}),
    (
      {'model_type': 'vit', 'num_attention_heads': 3},
      {
        'encoder': {
          'act': 'gelu',
          'epsilon': 1e-12,
          'num_heads': 3,
          'antialias': False,
        }
      },
    ),
    (
      {
        'vision_config': {'hidden_act': 'gelu_new', 'num_attention_heads': 3},
        'text_config': {'layer_norm_eps': 1e-6},
      },
      {
        'encoder': {'act': 'gelu_tanh', 'num_heads': 3},
        'text_encoder': {'epsilon': 1e-6},
      },
    ),
  ],
)
def test_description_of_transformers(config, expected, tmp_path):
  found = _options(tmp_path, 'huggingface', 'config.json', config)
  assert found == expected


@pytest.mark.parametrize(
  ('model', 'expected'),
  [
    (
      {
        'quick_gelu': True,
        'vision_cfg': {'layers': 12, 'width': 768},
        'text_cfg': {'heads': 8},
      },
      {
        'encoder': {'act': 'quick_gelu', 'num_heads': 12},
        'text_encoder': {'act': 'quick_gelu', 'num_heads': 8},
      },
    ),
    (
      {'vision_cfg': {'layers': 32, 'width': 1280, 'head_width': 80}},
      {
        'encoder': {'act': 'gelu', 'num_heads': 16},
        'text_encoder': {'act': 'gelu'},
      },
    ),
    (
      {
        'vision_cfg': {'timm_model_name': 'vit_base_patch16_siglip_224'},
        'text_cfg': {'heads': 12, 'norm_kwargs': {'eps': 1e-6}},
      },
      {
        'encoder': {'act': 'gelu'},
        'text_encoder': {'act': 'gelu', 'num_heads': 12, 'epsilon': 1e-6},
      },
    ),
    (
      {'vision_cfg': {'layers': [3, 4, 6, 3], 'width': 64}},
      {'encoder': {}, 'text_encoder': {'act': 'gelu'}},
    ),
  ],
)
def test_description_of_open_clip(model, expected, tmp_path):
  found = _options(
    tmp_path, 'open_clip', 'open_clip_config.json', {'model_cfg': model}
  )
  assert found == expected


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('{', 'is damaged'),
    ('[' * 100_000, 'is damaged'),
    ({'vision_config': 3}, 'is damaged'),
    ({'vision_config': {'hidden_act': 'relu'}}, "hidden_act is 'relu'"),
    ({'vision_config': {'hidden_act': []}}, 'is damaged'),
    ({'model_type': 'vit', 'hidden_act': 'relu'}, "hidden_act is 'relu'"),
    ({'text_config': {'num_attention_heads': '8'}}, "heads is '8'"),
    ({'text_config': {'num_attention_heads': 0}}, 'heads is 0'),
    ({'text_config': {'layer_norm_eps': -1e-6}}, 'layer_norm_eps is -1e-06'),
  ],
)
def test_a_damaged_description_is_a_user_error(content, message, tmp_path):
  with pytest.raises(UserError, match=rf'config\.json.*{message}'):
    _options(tmp_path, 'huggingface', 'config.json', content)


def test_an_impossible_description_of_open_clip(tmp_path):
  vision = {'layers': 12, 'width': 768, 'head_width': 0}
  content = {'model_cfg': {'vision_cfg': vision}}
  with pytest.raises(UserError, match='is damaged'):
    _options(tmp_path, 'open_clip', 'open_clip_config.json', content)


@pytest.mark.reference
def test_activations_of_every_siglip_of_open_clip(tmp_path):
  import open_clip
  import timm
  import torch

  names = [n for n in open_clip.list_models() if 'SigLIP' in n]
  assert len(names) > 20
  x = torch.linspace(-3, 3, 50)
  for name in names:
    model = open_clip.get_model_config(name)
    found = _options(
      tmp_path, 'open_clip', 'open_clip_config.json', {'model_cfg': model}
    )
    # One block each, without weights.
    vision, text = model['vision_cfg'], model['text_cfg']
    small = {'layers': 1, 'width': 64, 'patch_size': 16, 'image_size': 32}
    with torch.device('meta'):
      image_tower = timm.create_model(vision['timm_model_name'], depth=1)
      text_tower = open_clip.CustomTextCLIP(
        model['embed_dim'], small, text | {'layers': 1, 'vocab_size': 50}
      ).text
    for tower, act in (
      ('encoder', image_tower.blocks[0].mlp.act),
      ('text_encoder', text_tower.transformer.resblocks[0].mlp.gelu),
    ):
      wanted = torch.nn.functional.gelu(
        x, approximate='tanh' if found[tower]['act'] == 'gelu_tanh' else 'none'
      )
      assert torch.equal(act(x), wanted), (name, tower)
    assert found['text_encoder']['epsilon'] == text_tower.ln_final.eps


@pytest.mark.reference
@pytest.mark.parametrize(
  ('kind', 'section'),
  [
    ('ViTConfig', 'encoder'),
    ('ViTMAEConfig', 'encoder'),
    ('BeitConfig', 'encoder'),
    ('CLIPVisionConfig', 'encoder'),
    ('SiglipVisionConfig', 'encoder'),
    ('CLIPTextConfig', 'text_encoder'),
    ('SiglipTextConfig', 'text_encoder'),
  ],
)
def test_what_a_config_leaves_out_is_what_transformers_takes(
  kind, section, tmp_path
):
  import transformers

  config = getattr(transformers, kind)()
  part = {'encoder': 'vision_config', 'text_encoder': 'text_config'}[section]
  whole, bare = config.to_dict(), {'model_type': config.model_type}
  if section == 'text_encoder':
    whole, bare = {part: whole}, {part: bare}
  found = [
    _options(tmp_path, 'huggingface', 'config.json', content)
    for content in (whole, bare)
  ]
  assert found[0] == found[1]
  own = found[0][section].keys() - {'antialias'}  # of pictures alone
  assert own == {'act', 'epsilon', 'num_heads'}


def _described(folder, **files):
  for name, content in files.items():
    (folder / f'{name}.json').write_text(json.dumps(content))
  return descriptions.describe(folder / 'model.safetensors', 'huggingface')


def test_the_processor_that_transformers_5_saves_wins(tmp_path):
  old = {'image_processor_type': 'CLIPImageProcessor', 'resample': 2}
  nested = {'image_processor': old | {'resample': 1}}
  files = {'preprocessor_config': old, 'processor_config': nested}
  assert _described(tmp_path, **files).preprocessing.interpolation == 'lanczos'
  # Those of version 4 hold nothing of images.
  files['processor_config'] = {'processor_class': 'CLIPProcessor'}
  assert _described(tmp_path, **files).preprocessing.interpolation == 'bilinear'


def test_a_processor_without_a_class_is_that_of_the_model(tmp_path):
  found = _described(
    tmp_path,
    config={'model_type': 'siglip', 'vision_config': {}},
    preprocessor_config={'size': {'height': 384, 'width': 384}},
  )
  assert found.preprocessing.resize == 'squash'
  assert found.preprocessing.interpolation == 'bicubic'
  assert found.preprocessing.image_size == 384
  # Of the positions, which the configuration does not name.
  assert found.sides == (224, 224)


def test_a_model_without_a_processor_has_the_rule_of_its_release(tmp_path):
  config = {'model_type': 'vit_mae', 'image_size': 448}
  found = _described(tmp_path, config=config)
  assert found.preprocessing == RELEASED['vit_mae'].of_size(448)


@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    (
      {'architecture': 'vit_base_patch32_clip_quickgelu_224'},
      {'act': 'quick_gelu', 'epsilon': 1e-5},
    ),
    (
      {'architecture': 'vit_base_patch32_clip_224'},
      {'act': 'gelu', 'epsilon': 1e-5},
    ),
    ({'architecture': 'vit_base_patch16_siglip_224'}, {'act': 'gelu'}),
    (
      {'architecture': 'vit_large_patch16_siglip_512'},
      {'act': 'gelu_tanh'},
    ),
    ({'architecture': 'resnet50'}, {}),
    (
      {
        'architecture': 'vit_small_patch16_224',
        'model_args': {'num_heads': 12, 'act_layer': 'quick_gelu'},
      },
      {'num_heads': 12, 'act': 'quick_gelu'},
    ),
  ],
)
def test_description_of_timm(config, expected, tmp_path):
  content = {**config, 'pretrained_cfg': {'input_size': [3, 96, 96]}}
  (tmp_path / 'config.json').write_text(json.dumps(content))
  found = descriptions.describe(tmp_path / 'model.safetensors', 'timm')
  assert found.options == {'encoder': expected}
  assert found.sides == (96, 96)
  assert found.preprocessing.resize_size == 109  # timm rounds 109.7 down


def test_an_older_description_of_timm_is_one_level(tmp_path):
  content = {'architecture': 'vit_tiny_patch16_224', 'crop_pct': 0.9}
  (tmp_path / 'config.json').write_text(json.dumps(content))
  found = descriptions.describe(tmp_path / 'model.safetensors', 'timm')
  assert found.preprocessing.resize_size == 248


@pytest.mark.reference
def test_activation_and_epsilon_of_every_vit_of_timm(tmp_path):
  import timm
  import torch

  names = [
    name
    for name in timm.list_models('vit_*')
    if re.fullmatch(r'\w+_patch\d+_(clip|siglip)_(quickgelu_|gap_)?\d+', name)
  ]
  assert len(names) > 30
  x = torch.linspace(-3, 3, 50)
  acts = {
    'gelu': torch.nn.functional.gelu,
    'gelu_tanh': lambda x: torch.nn.functional.gelu(x, approximate='tanh'),
    'quick_gelu': lambda x: x * torch.sigmoid(1.702 * x),
  }
  for name in names:
    (tmp_path / 'config.json').write_text(
      json.dumps({'architecture': name, 'pretrained_cfg': {'crop_pct': 1.0}})
    )
    options = descriptions.describe(tmp_path / 'a', 'timm').options['encoder']
    with torch.device('meta'):
      block = timm.create_model(name, depth=1).blocks[0]
    torch.testing.assert_close(block.mlp.act(x), acts[options['act']](x))
    assert block.norm1.eps == options.get('epsilon', 1e-6), name
