"""CoCa: parity with open_clip, tokens that count, texts on several devices."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import CoCa
from jaxssl.ops import captioning
from jaxssl.weights import huggingface_pairs, open_clip
from tests.models import timm_reference, transformers_pairs

SIZE, TEXT = transformers_pairs.SIZE, transformers_pairs.text()
WIDTH = transformers_pairs.WIDTH
# open_clip's decoder has no other ratio.
TEXT_SIZES = {**transformers_pairs.SMALL_TEXT, 'mlp_ratio': 4.0}
STEP = jnp.zeros((), jnp.int32)


def _coca(**options):
  towers = {
    'encoder': models.make_encoder(
      'clip_vit_b8', **transformers_pairs.SMALL, act='gelu'
    ),
    'text_encoder': models.make_text_encoder(
      'clip_512', **TEXT_SIZES, act='gelu'
    ),
  }
  return CoCa(**{'head': models.Projection(out_dim=24), **towers, **options})


def _batch():
  return {'views': (timm_reference.images(SIZE, 3),), 'text': TEXT}


def _open_clip():
  from benchmarks.peers import torch_open_clip

  return torch_open_clip.coca(
    image_size=SIZE,
    patch_size=8,
    image=transformers_pairs.SMALL,
    text=TEXT_SIZES,
    vocab_size=transformers_pairs.VOCABULARY,
    length=transformers_pairs.LENGTH,
    out_dim=24,
  )


def _params_from(tensors):
  """Our tree of parameters with open_clip's tensors."""
  decoder = {
    n.removeprefix('text_decoder.'): t
    for n, t in tensors.items()
    if n.startswith('text_decoder.')
  }
  towers = {
    n.removeprefix('text.'): t
    for n, t in tensors.items()
    if not n.startswith('text_decoder.')
  }
  method = _coca()
  params, state = jax.eval_shape(method.init, jax.random.key(0), _batch())
  exported = jax.eval_shape(method.clip.export, params, state)
  found = huggingface_pairs.pair_from_huggingface(
    open_clip.to_huggingface(towers), exported
  )
  result = {
    'image': {
      'encoder': found['encoder']['params'],
      'head': found['image_head']['params'],
    },
    'text': found['text']['params'],
    'logit_scale': found['logits']['params']['scale'],
    'decoder': _decoder_from(decoder),
  }
  chex.assert_trees_all_equal_shapes(result, params)
  return result


def _decoder_from(tensors):
  def norm(name):
    return {'scale': tensors[f'{name}.weight'], 'bias': tensors[f'{name}.bias']}

  def layer(name):
    return {
      'kernel': tensors[f'{name}.weight'].T,
      'bias': tensors[f'{name}.bias'],
    }

  def block(name, parts):
    qkv = tensors[f'{name}.attn.in_proj_weight'].T
    bias = tensors[f'{name}.attn.in_proj_bias']
    return {
      'norm1': norm(f'{name}.ln_1'),
      'norm2': norm(f'{name}.ln_2'),
      'mlp': {
        'fc1': layer(f'{name}.mlp.c_fc'),
        'fc2': layer(f'{name}.mlp.c_proj'),
      },
      'attn': {
        part: {'kernel': qkv[:, place], 'bias': bias[place]}
        for part, place in parts.items()
      }
      | {'proj': layer(f'{name}.attn.out_proj')},
    }

  result = {
    'norm': norm('ln_final'),
    'head': {'kernel': tensors['text_projection']},
  }
  for i in range(2):
    own, cross = f'resblocks.{i}', f'cross_attn.{i}'
    result[f'blocks_{i}'] = block(own, {'qkv': slice(None)})
    parts = {'q': slice(WIDTH), 'kv': slice(WIDTH, None)}
    result[f'cross_{i}'] = block(cross, parts) | {
      'norm_kv': norm(f'{cross}.ln_1_kv')
    }
  return result


@pytest.mark.reference
def test_loss_and_every_gradient_equal_open_clips():
  import torch

  model, method = _open_clip(), _coca()
  from open_clip import loss as losses

  params = _params_from(
    {n: t.detach().numpy() for n, t in model.state_dict().items()}
  )
  found = model(
    timm_reference.to_torch(_batch()['views'][0]), torch.from_numpy(TEXT).long()
  )
  clip_loss, caption_loss = losses.CoCaLoss(2.0, 1.0)(**found)
  (clip_loss + caption_loss).backward()
  (loss, aux), grads = jax.jit(
    jax.value_and_grad(
      lambda params: method.loss(
        params,
        {'stats': {}},
        _batch(),
        key=jax.random.key(1),
        step=STEP,
      ),
      has_aux=True,
    )
  )(params)
  # float32 on both sides, two blocks and two pairs of blocks.
  np.testing.assert_allclose(
    [aux.metrics['clip_loss'], 2 * aux.metrics['caption_loss'], loss],
    [x.item() for x in (clip_loss, caption_loss, clip_loss + caption_loss)],
    rtol=1e-5,
  )
  theirs = _params_from(
    {n: p.grad.numpy() for n, p in model.named_parameters()}
  )
  scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads))
  chex.assert_trees_all_close(grads, theirs, rtol=1e-3, atol=1e-5 * scale)


def test_a_token_costs_minus_the_logarithm_of_its_probability():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(2, 4, 7))
  # Start, one or three words, end, padding; the second ends at its largest id.
  text = np.array([[5, 1, 6, 0, 0], [5, 2, 3, 4, 6]])
  cost, count = captioning.caption_entropy(
    jnp.asarray(logits, jnp.float32), jnp.asarray(text), None
  )
  expected = [0.0, 0.0]
  for row, ids in enumerate(text):
    for place in range(list(ids).index(6)):
      share = np.exp(logits[row, place]) / np.exp(logits[row, place]).sum()
      expected[row] -= np.log(share[ids[place + 1]])
  np.testing.assert_allclose(cost, expected, rtol=1e-6)
  np.testing.assert_array_equal(count, [2, 4])
  _, count = captioning.caption_entropy(jnp.asarray(logits), text, 3)
  np.testing.assert_array_equal(count, [0, 2])


def test_padding_and_later_words_do_not_matter():
  method = _coca()
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())

  @jax.jit
  def cost(text):
    embeddings, _ = method.embed(
      params,
      state,
      {**_batch(), 'text': text},
      keys=jax.random.split(jax.random.key(1), 3),
      step=STEP,
    )
    return embeddings['cost']

  found = cost(TEXT)
  padded = np.where(TEXT == 0, 7, TEXT)
  np.testing.assert_allclose(cost(padded), found, rtol=1e-6)
  # The token before the end is predicted, and read.
  other = TEXT.copy()
  ends = TEXT.argmax(1)
  other[np.arange(3), ends - 1] = 8
  assert np.all(np.abs(cost(other) - found) > 1e-3)


def test_parameters_do_not_depend_on_the_number_of_texts():
  text = np.stack([TEXT, TEXT], axis=1)

  def shapes(batch):
    return jax.eval_shape(_coca().init, jax.random.key(0), batch)

  assert shapes({**_batch(), 'text': text}) == shapes(_batch())


def test_a_text_tower_that_sees_all_is_a_user_error():
  tower = models.make_text_encoder('siglip_b', **transformers_pairs.SMALL_TEXT)
  with pytest.raises(UserError, match='causal=True'):
    _coca(text_encoder=tower)
