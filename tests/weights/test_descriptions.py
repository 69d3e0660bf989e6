"""What is read of the files beside the weights."""

import json

import pytest

from jaxssl.errors import UserError
from jaxssl.weights import descriptions


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
      {'encoder': {'act': 'gelu', 'epsilon': 1e-12, 'num_heads': 3}},
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
