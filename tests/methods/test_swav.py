import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import SwAV
from tests.tiny import TinyEncoder

ROWS = 8


def _method(**fields):
  fields = {'num_prototypes': 5} | fields
  head = models.MLPHead(hidden_dim=12, out_dim=6)
  return SwAV(encoder=TinyEncoder(), head=head, **fields)


def _views(seed=0, sizes=(16, 16, 8)):
  keys = jax.random.split(jax.random.key(seed), len(sizes))
  return [
    jax.random.normal(k, (ROWS, s, s, 3))
    for k, s in zip(keys, sizes, strict=True)
  ]


def _step(method, params, state, views, step=0):
  step = jnp.asarray(step)
  _, aux = jax.jit(method.loss)(
    params, state, {'views': views}, key=jax.random.key(1), step=step
  )
  return aux.carry, *method.update(params, state, aux.carry, step=step)


def test_prototypes_stay_unit_vectors():
  method, views = _method(), _views()
  params, state = jax.jit(method.init)(jax.random.key(0), {'views': views})
  scaled = {
    **params,
    'prototypes': {'kernel': 3 * params['prototypes']['kernel']},
  }
  for found in (params, _step(method, scaled, state, views)[1]):
    kernel = found['prototypes']['kernel']
    np.testing.assert_allclose(jnp.linalg.norm(kernel, axis=0), 1, rtol=1e-6)


def test_the_queue_is_filled_from_its_start_and_used_when_full():
  method, views = _method(queue_size=12, queue_start=1), _views()
  params, state = jax.jit(method.init)(jax.random.key(0), {'views': views})
  _, _, state = _step(method, params, state, views, step=0)
  assert state['filled'] == 0
  assert not state['queue'].any()
  carry, _, state = _step(method, params, state, views, step=1)
  assert state['filled'] == ROWS
  np.testing.assert_array_equal(state['queue'][:, :ROWS], carry['new'])
  half_full = state
  carry, _, state = _step(method, params, state, _views(seed=1), step=2)
  assert state['filled'] == 12
  np.testing.assert_array_equal(state['queue'][:, :ROWS], carry['new'])
  np.testing.assert_array_equal(
    state['queue'][:, ROWS:], half_full['queue'][:, : 12 - ROWS]
  )

  def loss(state):
    return jax.jit(method.loss)(
      params,
      state,
      {'views': views},
      key=jax.random.key(1),
      step=jnp.asarray(3),
    )[0]

  empty = {**half_full, 'queue': 0 * half_full['queue']}
  assert loss(half_full) == loss(empty)
  assert loss(state) != loss({**state, 'queue': 0 * state['queue']})


def test_one_view_cannot_be_predicted_from_another():
  method, views = _method(), _views(sizes=(16,))
  params, state = jax.jit(method.init)(jax.random.key(0), {'views': views})
  with pytest.raises(errors.UserError, match='SwAV with num_global=2 needs'):
    _step(method, params, state, views)


@pytest.mark.reference
def test_loss_equals_lightlys_with_and_without_a_queue():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import SwaVLoss

  from jaxssl.ops.assignment import sinkhorn
  from jaxssl.ops.distillation import distillation

  draws = np.random.default_rng(0)
  scores = draws.uniform(-0.5, 0.5, (4, ROWS, 5)).astype(np.float32)
  queue = draws.uniform(-0.5, 0.5, (2, 12, 5)).astype(np.float32)
  for others in (None, queue):
    ours = jnp.asarray(scores)
    targets = jnp.stack(
      [
        sinkhorn(
          ours[i],
          epsilon=0.05,
          others=None if others is None else jnp.asarray(others[i]),
        )
        for i in range(2)
      ]
    )
    found, gradient = jax.value_and_grad(distillation, argnums=1)(
      targets, ours, temperature=0.1
    )
    theirs = [torch.tensor(s, requires_grad=True) for s in scores]
    queued = None if others is None else [torch.tensor(q) for q in others]
    expected = SwaVLoss()(theirs[:2], theirs[2:], queued)
    expected.backward()
    # float32 on both sides.
    np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(
      gradient, [t.grad.numpy() for t in theirs], rtol=1e-3, atol=1e-6
    )
