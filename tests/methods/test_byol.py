import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.methods import BYOL, variables
from jaxssl.methods.byol import mlp
from tests.tiny import TinyEncoder


def _method(**fields):
  head = mlp(hidden_dim=12, out_dim=6)
  return BYOL(encoder=TinyEncoder(), head=head, momentum=0.9, **fields)


def _start(method):
  keys = jax.random.split(jax.random.key(0), 2)
  batch = {'views': [jax.random.normal(k, (8, 16, 16, 3)) for k in keys]}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  # The slow network is another one, as after some steps.
  slow = jax.tree.map(lambda p: 0.8 * p + 0.01, state['slow']['params'])
  return batch, params, {**state, 'slow': {**state['slow'], 'params': slow}}


def _project(method, params, stats, view):
  z, _ = variables.apply_train(method.net, params, stats, view)
  return z


def _unit(x):
  x = np.asarray(x, np.float64)
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_loss_is_the_distance_to_the_slow_network_of_the_other_view():
  method = _method()
  batch, params, state = _start(method)
  loss, _ = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )
  stats, slow = state['stats'], state['slow']
  expected = 0.0
  for one, other in ((0, 1), (1, 0)):
    z = _project(method, params['net'], stats['net'], batch['views'][one])
    q, _ = variables.apply_train(
      method.predictor, params['predictor'], stats['predictor'], z
    )
    k = _project(method, slow['params'], slow['stats'], batch['views'][other])
    expected += ((_unit(q) - _unit(k)) ** 2).sum(axis=1).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_slow_network_follows_the_updated_parameters():
  method = _method()
  _, params, state = _start(method)
  carry = {'fast': 1, 'slow': 2, 'predictor': 3}
  new = jax.tree.map(lambda p: p + 1, params)
  kept, after = method.update(new, state, carry, step=jnp.zeros((), int))
  assert kept is new
  expected = jax.tree.map(
    lambda slow, fast: 0.9 * slow + 0.1 * fast,
    state['slow']['params'],
    new['net'],
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    after['slow']['params'],
    expected,
  )
