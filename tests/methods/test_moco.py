import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import MoCo
from tests.tiny import TinyEncoder

BATCH, QUEUE, DIM = 4, 12, 8


def _method(**kwargs):
  return MoCo(
    encoder=TinyEncoder(),
    head=models.MoCoHead(out_dim=DIM),
    queue_size=QUEUE,
    **kwargs,
  )


def _batch(seed=0):
  keys = jax.random.split(jax.random.key(seed), 2)
  return {'views': [jax.random.normal(k, (BATCH, 8, 8, 3)) for k in keys]}


@functools.cache
def _value_and_grad(method):
  return jax.jit(jax.value_and_grad(method.loss, has_aux=True))


def _step(method, params, state, step=0):
  step = jnp.asarray(step)
  (_, aux), grads = _value_and_grad(method)(
    params, state, _batch(step), key=jax.random.key(9), step=step
  )
  params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
  return method.update(params, state, aux.carry, step=step)


def test_key_network_starts_as_a_copy_and_follows_the_old_parameters():
  method = _method(momentum=0.75)
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  chex.assert_trees_all_equal(state['slow']['params'], params)
  params1, state1 = _step(method, params, state)
  # Before the optimizer's step, so still equal.
  chex.assert_trees_all_close(state1['slow']['params'], params)
  _, state2 = _step(method, params1, state1, 1)
  expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, params, params1)
  chex.assert_trees_all_close(state2['slow']['params'], expected, atol=1e-6)


def test_queue_is_a_ring_of_unit_keys():
  method = _method()
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  start = state['queue']
  for step in range(QUEUE // BATCH + 1):
    assert int(state['pointer']) == step * BATCH % QUEUE
    params, state = _step(method, params, state, step)
    if step == 0:
      chex.assert_trees_all_equal(state['queue'][BATCH:], start[BATCH:])
  np.testing.assert_allclose(
    jnp.linalg.norm(state['queue'], axis=1), 1.0, rtol=1e-6
  )
  assert not jnp.any(jnp.all(state['queue'] == start, axis=1))


def test_keys_are_back_in_the_order_of_their_images():
  # Equal views and networks, without BatchNorm's noise: every key is its query.
  method = MoCo(
    encoder=models.make_encoder('vit_ti4', dim=16, depth=1, num_heads=2),
    head=models.MoCoHead(out_dim=DIM),
    queue_size=QUEUE,
  )
  view = _batch()['views'][0]
  batch = {'views': [view, view]}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  _, aux = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(3), step=jnp.zeros((), int)
  )
  queries = method.net.apply({'params': params}, view, train=False)
  queries /= jnp.linalg.norm(queries, axis=1, keepdims=True)
  np.testing.assert_allclose(aux.carry['new'], queries, atol=1e-5)


def test_queue_that_is_no_multiple_of_the_batch():
  method = _method()
  with pytest.raises(UserError, match=r'queue_size=10'):
    method.check_batch(BATCH + 1)
  # What the state is made from is two rows, whatever the batch is.
  method = dataclasses.replace(method, queue_size=3 * (BATCH + 1))
  method.check_batch(BATCH + 1)
  two = jax.tree.map(lambda x: x[:2], _batch())
  _, state = jax.eval_shape(method.init, jax.random.key(0), two)
  assert len(state['queue']) == 3 * (BATCH + 1)


@pytest.mark.reference
def test_loss_and_gradient_equal_lightly_with_its_memory_bank():
  from lightly.loss import NTXentLoss
  import torch

  from jaxssl.ops import contrastive

  rng = np.random.default_rng(0)
  q, k = rng.normal(size=(2, 6, DIM)).astype(np.float32)
  queue = rng.normal(size=(QUEUE, DIM)).astype(np.float32)
  queue /= np.linalg.norm(queue, axis=1, keepdims=True)
  (loss, _), grad = jax.value_and_grad(contrastive.queue_nce, has_aux=True)(
    q, k, queue, temperature=0.2
  )
  reference = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, DIM))
  reference.memory_bank.bank = torch.from_numpy(queue.copy())
  theirs = torch.tensor(q, requires_grad=True)
  expected = reference(theirs, torch.from_numpy(k))
  expected.backward()
  # float32 on both sides.
  np.testing.assert_allclose(loss, expected.item(), rtol=3e-6)
  np.testing.assert_allclose(grad, theirs.grad.numpy(), rtol=1e-4, atol=2e-6)
