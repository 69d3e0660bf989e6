import dataclasses

import chex
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.weights import huggingface_pairs, huggingface_two_towers
from tests.tiny import TinyEncoder
from tests.weights import clip_towers


@pytest.mark.parametrize('make', [clip_towers.clip, clip_towers.siglip])
def test_export_and_import_give_the_same_bits(make):
  towers = clip_towers.random(make())
  tensors = huggingface_two_towers.tensors(towers)
  chex.assert_trees_all_equal(
    huggingface_pairs.pair_from_huggingface(tensors, towers), towers
  )


def test_config_has_the_sizes_of_the_towers():
  method = clip_towers.clip(
    encoder={'act': 'gelu', 'mlp_ratio': 3.0},
    text_encoder={'epsilon': 1e-6, 'depth': 1},
  )
  config = huggingface_two_towers.config(method, clip_towers.abstract(method))
  vision, text = config['vision_config'], config['text_config']
  assert (config['model_type'], config['projection_dim']) == ('clip', 24)
  assert (vision['image_size'], vision['patch_size']) == (32, 8)
  assert (vision['intermediate_size'], vision['hidden_act']) == (96, 'gelu')
  assert (text['num_hidden_layers'], text['layer_norm_eps']) == (1, 1e-6)
  assert text['eos_token_id'] == clip_towers.TOKENIZER.end_id
  assert text['max_position_embeddings'] == clip_towers.LENGTH


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_config_has_the_channels_of_the_pictures(channels):
  method = clip_towers.clip()
  towers = clip_towers.abstract(method, channels=channels)
  config = huggingface_two_towers.config(method, towers)
  assert config['vision_config']['num_channels'] == channels


def test_config_of_siglip():
  method = clip_towers.siglip()
  config = huggingface_two_towers.config(method, clip_towers.abstract(method))
  vision, text = config['vision_config'], config['text_config']
  assert config['architectures'] == ['SiglipModel']
  assert vision['model_type'] == 'siglip_vision_model'
  assert (text['projection_size'], text['hidden_act']) == (32, 'gelu')
  assert text['layer_norm_eps'] == 1e-6
  # Of the published vocabulary, which this run has not.
  assert {text[f'{name}_token_id'] for name in ('bos', 'eos', 'pad')} == {None}


def test_the_towers_of_siglip2_are_those_of_siglip():
  method = clip_towers.siglip2()
  towers = clip_towers.random(method)
  assert 'mask_token' in towers['encoder']['params']
  tensors = huggingface_two_towers.tensors(towers)
  assert not any('mask_token' in name for name in tensors)
  del towers['encoder']['params']['mask_token']
  chex.assert_trees_all_equal(
    huggingface_pairs.pair_from_huggingface(tensors, towers), towers
  )


def test_a_text_without_end_id_ends_at_its_largest():
  method = clip_towers.clip(text_encoder={'eot_id': None})
  config = huggingface_two_towers.config(method, clip_towers.abstract(method))
  assert config['text_config']['eos_token_id'] == 2


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': {'norm_pre': False}}, 'encoder.norm_pre is False, not True'),
    ({'encoder': {'patch_bias': True}}, 'encoder.patch_bias is True'),
    ({'encoder': {'pool': 'avg'}}, "encoder.pool is 'avg', not 'cls'"),
    ({'encoder': {'fc_norm': True}}, 'encoder.fc_norm is True'),
    ({'encoder': {'num_registers': 1}}, 'encoder.num_registers is 1'),
    ({'encoder': {'layer_scale': 0.1}}, 'encoder.layer_scale is 0.1'),
    ({'encoder': {'position': 'sincos_mae'}}, 'encoder.position'),
    ({'text_encoder': {'causal': False}}, 'text_encoder.causal is False'),
    ({'text_encoder': {'pool': 'last'}}, 'text_encoder.pool'),
    ({'text_encoder': {'pad_id': 0}}, 'text_encoder.pad_id is 0, not None'),
    ({'text_encoder': {'eot_id': 2}}, 'as the largest id'),
    ({'head': {'num_layers': 2}}, 'head.num_layers is 2, not 1'),
    ({'head': {'use_bias': True}}, 'head.use_bias is True'),
    ({'project_images': False}, 'method.project_images is False'),
  ],
)
def test_another_architecture_is_refused_with_a_reason(changes, message):
  with pytest.raises(UserError, match=message):
    huggingface_two_towers.check(clip_towers.clip(**changes))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': {'norm_pre': True}}, 'encoder.norm_pre is True, not False'),
    ({'encoder': {'class_token': True}}, 'encoder.class_token is True'),
    ({'encoder': {'pool': 'avg'}}, "encoder.pool is 'avg', not 'map'"),
    ({'text_encoder': {'causal': True}}, 'text_encoder.causal is True'),
    ({'text_encoder': {'pool': 'avg'}}, "pool is 'avg', not 'last'"),
    ({'text_encoder': {'pad_id': 0}}, 'text_encoder.pad_id is 0, not None'),
    ({'head': {'use_bias': False}}, 'head.use_bias is False'),
    ({'project_images': True}, 'method.project_images is True'),
  ],
)
def test_another_siglip_is_refused_with_a_reason(changes, message):
  with pytest.raises(UserError, match=f'SiglipModel.*{message}'):
    huggingface_two_towers.check(clip_towers.siglip(**changes))


@pytest.mark.parametrize(
  ('method', 'message'),
  [
    (object(), 'the method is not clip or siglip'),
    (clip_towers.clip_resnet(), 'no vision transformer'),
    (
      dataclasses.replace(clip_towers.clip(), text_encoder=TinyEncoder()),
      'no TextEncoder',
    ),
  ],
)
def test_other_modules_are_refused(method, message):
  with pytest.raises(UserError, match=message):
    huggingface_two_towers.check(method)


def test_oblong_images_are_refused():
  method = clip_towers.clip(encoder={'grid': (2, 8)})
  huggingface_two_towers.check(method)
  with pytest.raises(UserError, match='no squares'):
    huggingface_two_towers.config(method, clip_towers.abstract(method))


def test_the_published_architectures_are_accepted():
  method = clip_towers.clip()
  for name, model in models.variants.CLIP_MODELS.items():
    if name.startswith('ViT'):
      changed = dataclasses.replace(
        method,
        encoder=models.make_encoder(model.encoder),
        text_encoder=models.make_text_encoder(model.text_encoder),
      )
      huggingface_two_towers.check(changed)
