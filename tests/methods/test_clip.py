"""CLIP and SigLIP: parity with transformers, temperature, locked towers."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import CLIP, SigLIP, trained_start
from jaxssl.train import optim, treatments
from jaxssl.weights import huggingface_pairs
from tests.models import (
  timm_reference,
  transformers_pairs,
  transformers_reference,
)
from tests.tiny import TinyEncoder

SIZE = transformers_pairs.SIZE
TEXT = transformers_pairs.text()
STEP = jnp.zeros((), jnp.int32)


def _towers(style):
  text = {'clip': 'clip_512', 'siglip': 'siglip_b'}[style]
  return {
    'encoder': models.make_encoder(
      f'{style}_vit_b8', **transformers_pairs.SMALL
    ),
    'text_encoder': models.make_text_encoder(
      text, **transformers_pairs.SMALL_TEXT
    ),
  }


def _clip(**options):
  head = models.Projection(out_dim=24)
  return CLIP(**{'head': head, **_towers('clip'), **options})


def _siglip(**options):
  head = models.Projection(out_dim=transformers_pairs.WIDTH, use_bias=True)
  options = {'project_images': False, **options}
  return SigLIP(**{'head': head, **_towers('siglip'), **options})


def _batch():
  return {'views': (timm_reference.images(SIZE, 3),), 'text': TEXT}


@functools.partial(jax.jit, static_argnums=0)
def _init(method):
  return method.init(jax.random.key(0), _batch())


@functools.partial(jax.jit, static_argnums=0)
def _value_and_grad(method, params, state, batch):
  return jax.value_and_grad(method.loss, has_aux=True)(
    params, state, batch, key=jax.random.key(1), step=STEP
  )


def _with_weights_of(model, method):
  """Parameters of the method with the weights of transformers' model."""
  params, state = jax.eval_shape(lambda: _init(method))
  tensors = transformers_reference.tensors(model)
  return _params_from(tensors, method, params, state), state


def _params_from(tensors, method, params, state):
  towers = huggingface_pairs.pair_from_huggingface(
    tensors, jax.eval_shape(method.export, params, state)
  )
  image = {'encoder': towers['encoder']['params']}
  if 'image_head' in towers:
    image['head'] = towers['image_head']['params']
  logits = towers['logits']['params']
  result = {
    'image': image,
    'text': towers['text']['params'],
    **{f'logit_{name}': value for name, value in logits.items()},
  }
  chex.assert_trees_all_equal_shapes(result, params)
  return result


def _siglip_loss(output):
  """transformers' SiglipModel has it too; this is equation 1."""
  import torch

  logits = output.logits_per_text
  signs = 2 * torch.eye(len(logits)) - 1
  return -torch.nn.functional.logsigmoid(signs * logits).sum() / len(logits)


PAIRS = {
  'clip': (transformers_pairs.clip, _clip, lambda output: output.loss),
  'siglip': (transformers_pairs.siglip, _siglip, _siglip_loss),
}


@pytest.mark.reference
@pytest.mark.parametrize('pair', PAIRS)
def test_features_loss_and_every_gradient_equal_transformers(pair):
  import torch

  make, make_ours, their_loss = PAIRS[pair]
  model, method = make(), make_ours()
  params, state = _with_weights_of(model, method)
  batch = _batch()
  output = model(
    input_ids=torch.from_numpy(TEXT).long(),
    pixel_values=timm_reference.to_torch(batch['views'][0]),
    return_loss=True,
  )
  expected = their_loss(output)
  expected.backward()
  (loss, aux), grads = _value_and_grad(method, params, {'stats': {}}, batch)
  # float32 on both sides, two blocks.
  np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
  towers = method.export(params, {'stats': {}})
  x = jax.jit(method.encode_image)(towers, batch['views'][0])
  y = jax.jit(method.encode_text)(towers, TEXT)
  np.testing.assert_allclose(x, output.image_embeds.detach(), atol=1e-5)
  np.testing.assert_allclose(y, output.text_embeds.detach(), atol=1e-5)
  logits = aux.metrics['logit_scale'] * x @ y.T + params.get('logit_bias', 0.0)
  np.testing.assert_allclose(
    logits, output.logits_per_image.detach(), atol=1e-4
  )
  theirs = _params_from(
    transformers_reference.gradients(model), method, params, state
  )
  scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads))
  chex.assert_trees_all_close(grads, theirs, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize('method', [_clip(), _siglip()], ids=['clip', 'siglip'])
def test_initial_loss_is_what_theory_says(method):
  params, _ = _init(method)
  rows = 8
  x, y = np.random.default_rng(0).normal(size=(2, rows, 65536))
  embeddings = {'image': x, 'text': y}
  loss, _ = method.compare(params, (), embeddings, {}, step=0)
  # The cosines of random vectors of 65536 numbers are about 1/256.
  expected = {
    CLIP: math.log(rows),
    SigLIP: 10 + 4.5e-5 * (rows - 1),
  }
  np.testing.assert_allclose(loss, expected[type(method)], rtol=0.03)


def test_temperature_starts_at_clips_and_is_clamped():
  method = _clip()
  params, state = _init(method)
  np.testing.assert_allclose(np.exp(params['logit_scale']), 1 / 0.07, rtol=1e-6)
  for given, kept in ((9.0, math.log(100)), (-1.0, 0.0), (3.0, 3.0)):
    changed = {**params, 'logit_scale': jnp.asarray(given)}
    new, _ = method.update(changed, state, {}, step=STEP)
    np.testing.assert_allclose(new['logit_scale'], kept, rtol=1e-6)


def test_siglips_scalars_start_as_published():
  params, _ = _init(_siglip())
  np.testing.assert_allclose(params['logit_scale'], math.log(10), rtol=1e-6)
  assert params['logit_bias'] == -10.0


def test_blocks_of_columns_do_not_change_the_gradient():
  params, state = _init(_clip())
  batch = _batch()
  chex.assert_trees_all_close(
    _value_and_grad(_clip(chunk=2), params, state, batch)[1],
    _value_and_grad(_clip(), params, state, batch)[1],
    atol=1e-5,  # float32 sums in another order; gradients are up to 10
    rtol=1e-5,
  )


def test_a_locked_image_tower_stays_as_it_was():
  method = _clip()
  params, state = _init(method)
  tx = optim.make_optimizer(
    name='adamw',
    learning_rate=lambda step: 0.1,
    weight_decay=0.1,
    rules=[{'match': '^image/encoder/', 'freeze_steps': treatments.FOREVER}],
  )
  _, grads = _value_and_grad(method, params, state, _batch())
  updates, opt_state = tx.update(grads, tx.init(params), params)
  locked = updates['image']['encoder']
  chex.assert_trees_all_equal(locked, jax.tree.map(jnp.zeros_like, locked))
  for moving in (updates['image']['head'], updates['text']):
    assert any(jnp.any(x != 0) for x in jax.tree.leaves(moving))
  # No moments are kept of it either.
  kept = sum(x.size for x in jax.tree.leaves(opt_state))
  trained = sum(x.size for x in jax.tree.leaves(params)) - sum(
    x.size for x in jax.tree.leaves(params['image']['encoder'])
  )
  assert kept < 2 * trained + 100


def test_an_encoder_can_be_given():
  method = _clip()
  params, state = _init(method)
  other = jax.tree.map(lambda x: x + 1.0, method.export(params, state))
  new, _ = _start(method, params, state, encoder=other['encoder'])
  chex.assert_trees_all_equal(
    new['image']['encoder'], other['encoder']['params']
  )
  chex.assert_trees_all_equal(new['text'], params['text'])
  with pytest.raises(UserError, match='another encoder'):
    _start(method, params, state, encoder={'params': {}})


def test_a_text_tower_can_be_given():
  method = _clip(encoder=TinyEncoder(dim=24), project_images=False)
  params, state = _init(method)
  other = jax.tree.map(lambda x: x + 1.0, method.export(params, state))
  new, new_state = _start(method, params, state, text=other['text'])
  chex.assert_trees_all_equal(new['text'], other['text']['params'])
  chex.assert_trees_all_equal(new['image'], params['image'])
  chex.assert_trees_all_equal(new_state, state)
  both = {name: other[name] for name in ('encoder', 'text')}
  towers = method.export(*_start(method, params, state, **both))
  chex.assert_trees_all_equal(towers['encoder'], other['encoder'])
  chex.assert_trees_all_equal(towers['text'], other['text'])
  with pytest.raises(UserError, match='text_encoder section'):
    _start(method, params, state, text={'params': {}})


def _start(method, params, state, **towers):
  return trained_start.with_towers(method, params, state, towers)


def test_batch_statistics_are_remembered_and_exported():
  method = _clip(encoder=TinyEncoder(dim=24), project_images=False)
  params, state = _init(method)
  (_, aux), _ = _value_and_grad(method, params, state, _batch())
  chex.assert_trees_all_equal_shapes(aux.carry, state['stats'])
  moved = jax.tree.map(
    lambda a, b: bool(jnp.any(a != b)), aux.carry, state['stats']
  )
  assert any(jax.tree.leaves(moved))
  towers = method.export(params, {'stats': aux.carry})
  assert set(towers['encoder']) == {'params', 'batch_stats'}
  assert 'image_head' not in towers
  x = jax.jit(method.encode_image)(towers, _batch()['views'][0])
  np.testing.assert_allclose(jnp.linalg.norm(x, axis=1), 1.0, rtol=1e-6)


def test_mlp_projection_has_two_layers():
  head = models.Projection(num_layers=2, out_dim=24)
  params, _ = jax.eval_shape(lambda: _init(_clip(head=head)))
  assert set(params['image']['head']) == {'dense_0', 'dense_1'}


def test_towers_of_two_widths_are_a_user_error():
  with pytest.raises(UserError, match='image tower ends in 32 numbers'):
    jax.eval_shape(lambda: _init(_clip(project_images=False)))


def test_data_without_captions_is_a_user_error():
  batch = {'views': _batch()['views']}
  with pytest.raises(UserError, match='no captions'):
    _clip().init(jax.random.key(0), batch)
