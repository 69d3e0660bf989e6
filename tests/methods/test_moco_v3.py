import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.methods import MoCoV3
from jaxssl.ops import contrastive
from jaxssl.train import optim


def _method(**kwargs):
  return MoCoV3(
    encoder=models.make_encoder(
      'vit_ti4', dim=16, depth=1, num_heads=2, position='sincos_moco'
    ),
    head=models.MoCoV3Head(hidden_dim=24, out_dim=8),
    **kwargs,
  )


def _batch():
  keys = jax.random.split(jax.random.key(0), 2)
  return {'views': [jax.random.normal(k, (6, 8, 8, 3)) for k in keys]}


def _grads(method, params, state):
  return jax.jit(jax.grad(method.loss, has_aux=True))(
    params, state, _batch(), key=jax.random.key(1), step=jnp.zeros((), int)
  )


@pytest.mark.reference
@pytest.mark.parametrize('temperature', [0.2, 1.0])
def test_info_nce_equals_the_formula_in_torch(temperature):
  import torch
  from torch.nn import functional

  rng = np.random.default_rng(0)
  q, k = rng.normal(size=(2, 6, 5)).astype(np.float32)
  (loss, _), grad = jax.value_and_grad(contrastive.info_nce, has_aux=True)(
    q, k, temperature=temperature
  )
  theirs = torch.tensor(q, requires_grad=True)
  logits = (
    functional.normalize(theirs) @ functional.normalize(torch.from_numpy(k)).T
  )
  expected = functional.cross_entropy(logits / temperature, torch.arange(6))
  expected.backward()
  # float32 on both sides.
  np.testing.assert_allclose(loss, expected.item(), rtol=3e-6)
  np.testing.assert_allclose(grad, theirs.grad.numpy(), rtol=1e-4, atol=2e-6)


def test_both_networks_start_from_xaviers_values():
  method = _method()
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  qkv = params['net']['encoder']['blocks_0']['attn']['qkv']['kernel']
  # Query, key and value are matrices of their own: 16 to 16.
  limit = (6 / 32) ** 0.5
  assert 0.95 * limit < jnp.abs(qkv).max() <= limit
  chex.assert_trees_all_equal(state['slow']['params'], params['net'])


def test_loss_is_twice_the_temperature_times_both_directions():
  method = _method(temperature=0.5, momentum=1.0)
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  loss, _ = jax.jit(method.loss)(
    params, state, _batch(), key=jax.random.key(1), step=jnp.zeros((), int)
  )
  keys, queries = [], []
  for view in _batch()['views']:
    z = method.net.apply(
      {'params': params['net'], **state['stats']['net']},
      view,
      train=True,
      mutable=['batch_stats'],
    )[0]
    keys.append(z)
    queries.append(
      method.predictor.apply(
        {'params': params['predictor'], **state['stats']['predictor']},
        z,
        train=True,
        mutable=['batch_stats'],
      )[0]
    )
  directions = [
    contrastive.info_nce(queries[i], keys[1 - i], temperature=0.5)[0]
    for i in range(2)
  ]
  np.testing.assert_allclose(loss, 2 * 0.5 * sum(directions), rtol=1e-5)


def test_slow_network_gets_no_gradient_and_follows_before_the_step():
  method = _method(momentum=0.5)
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  moved = jax.tree.map(lambda p: p + 1.0, params)
  _, aux = _grads(method, moved, state)
  expected = jax.tree.map(lambda p: p + 0.5, params['net'])
  chex.assert_trees_all_close(aux.carry['slow']['params'], expected, atol=1e-6)


def test_patch_projection_stays_as_it_was_under_the_rule_of_the_recipe():
  method = _method()
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  tx = optim.make_optimizer(
    name='adamw',
    learning_rate=lambda step: 0.1,
    weight_decay=0.1,
    rules=[{'match': 'patch_embed', 'freeze_steps': -1}],
  )
  grads, _ = _grads(method, params, state)
  updates, _ = tx.update(grads, tx.init(params), params)
  encoder = updates['net']['encoder']
  chex.assert_trees_all_equal(
    encoder['patch_embed'], jax.tree.map(jnp.zeros_like, encoder['patch_embed'])
  )
  assert jnp.any(encoder['blocks_0']['attn']['qkv']['kernel'] != 0)
