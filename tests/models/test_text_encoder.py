import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.weights import huggingface_pairs
from tests.models import (
  timm_reference,
  transformers_pairs,
  transformers_reference,
)

TEXT = transformers_pairs.text()
SMALL = transformers_pairs.SMALL_TEXT


@functools.partial(jax.jit, static_argnums=0)
def _encode(encoder, variables, text):
  return encoder.apply(variables, text)


def _setup(**options):
  encoder = models.make_text_encoder('clip_512', **SMALL | options)
  return encoder, timm_reference.random_variables(encoder, jnp.asarray(TEXT))


def _clip_tower():
  return transformers_pairs.clip().text_model


def _siglip_tower():
  return transformers_pairs.siglip().text_model


# Name, model, our options and what is compared.
FAMILIES = {
  'clip_512': (_clip_tower, {}),
  'siglip_b': (_siglip_tower, {}),
  'bert_b': (transformers_pairs.bert, {}),
  'gpt2_b': (transformers_pairs.gpt2, {}),
}


@pytest.mark.reference
@pytest.mark.parametrize('name', FAMILIES)
def test_every_token_and_the_features_equal_transformers(name):
  import torch

  make, options = FAMILIES[name]
  model, encoder = make(), models.make_text_encoder(name, **SMALL | options)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), TEXT)
  tensors = transformers_reference.tensors(model)
  variables = huggingface_pairs.text_from_huggingface(tensors, shapes)
  ids = torch.from_numpy(TEXT).long()
  # BERT hides padding from the other tokens; the other towers see it.
  mask = {'attention_mask': (ids != 0).long()} if name == 'bert_b' else {}
  with torch.no_grad():
    theirs = model(ids, **mask).last_hidden_state.numpy()
  features, out = _encode(encoder, variables, TEXT)
  seen = TEXT != 0 if name == 'bert_b' else np.ones_like(TEXT, bool)
  # float32 on both sides, two blocks.
  error = timm_reference.relative_error(out['encoded'][seen], theirs[seen])
  assert error < 1e-5
  place = {'eot': TEXT.argmax(1), 'last': -1, 'cls': 0}[encoder.pool]
  np.testing.assert_allclose(
    features, theirs[np.arange(len(TEXT)), place], atol=1e-4
  )


def test_what_follows_the_end_of_a_text_does_not_matter():
  encoder, variables = _setup()
  other = np.where(TEXT == 0, 3, TEXT)
  np.testing.assert_array_equal(
    _encode(encoder, variables, TEXT)[0], _encode(encoder, variables, other)[0]
  )


def test_padding_is_not_seen_with_its_id():
  encoder, variables = _setup(causal=False, pool='avg', pad_id=0)
  whole, _ = _encode(encoder, variables, TEXT[:1])
  length = int((TEXT[0] != 0).sum())
  short, _ = _encode(encoder, variables, TEXT[:1, :length])
  # float32 sums over another number of terms.
  np.testing.assert_allclose(whole, short, atol=1e-5)


def test_the_end_can_have_any_id():
  encoder, variables = _setup()
  other, _ = _setup(eot_id=2)
  eot = transformers_pairs.EOT
  table = variables['params']['tok_embed']
  table[2] = table[eot]
  text = np.where(TEXT == 2, 3, TEXT)
  renamed = np.where(text == eot, 2, text)
  np.testing.assert_array_equal(
    _encode(encoder, variables, text)[0], _encode(other, variables, renamed)[0]
  )


def test_an_id_outside_of_the_vocabulary_is_not_a_number():
  encoder, variables = _setup()
  text = np.full_like(TEXT, SMALL['vocab_size'])
  assert np.isnan(_encode(encoder, variables, text)[0]).all()


def test_features_are_float32_and_blocks_as_asked():
  encoder, variables = _setup(dtype='bfloat16')
  features, out = _encode(encoder, variables, TEXT)
  assert features.dtype == jnp.float32
  assert out['block01'].dtype == jnp.bfloat16


def test_initial_deviations_are_clips():
  encoder = models.make_text_encoder(
    'clip_512', vocab_size=64, dim=256, depth=2, num_heads=4
  )
  params = jax.jit(encoder.init)(jax.random.key(0), TEXT)['params']
  block = params['blocks_1']
  expected = {
    ('attn', 'qkv'): 256**-0.5,
    ('attn', 'proj'): 256**-0.5 / 2,
    ('mlp', 'fc1'): 512**-0.5,
    ('mlp', 'fc2'): 256**-0.5 / 2,
  }
  for (part, layer), std in expected.items():
    kernel = block[part][layer]['kernel']
    # 65 thousand draws or more: 1 % is more than three standard errors.
    np.testing.assert_allclose(np.std(kernel), std, rtol=0.01)
  np.testing.assert_allclose(np.std(params['tok_embed']), 0.02, rtol=0.05)
  np.testing.assert_allclose(np.std(params['pos_embed']), 0.01, rtol=0.05)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'pool': 'max'}, 'unknown TextEncoder pool'),
    ({'act': 'relu'}, 'unknown TextEncoder act'),
    ({'num_heads': 5}, 'not divisible by num_heads 5'),
    ({'vocab_size': 0}, 'TextEncoder vocab_size is 0; it must be positive'),
  ],
)
def test_impossible_values_are_user_errors(options, message):
  with pytest.raises(errors.UserError, match=message):
    _setup(**options)


def test_a_text_that_is_too_long_is_a_user_error():
  with pytest.raises(errors.UserError, match=r'set text_encoder\.length'):
    _setup(length=4)


def test_names_are_known():
  for name in models.text_encoder_names():
    models.make_text_encoder(name)
  with pytest.raises(errors.UserError, match="'clip_512'"):
    models.make_text_encoder('clip_521')
