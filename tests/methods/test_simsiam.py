import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.methods import SimSiam, variables
from jaxssl.methods.simsiam import projector
from tests.tiny import TinyEncoder

HEAD = projector(num_layers=2, hidden_dim=12, out_dim=6)


def _method(**fields):
  return SimSiam(encoder=TinyEncoder(), head=HEAD, predictor_dim=4, **fields)


def _start():
  keys = jax.random.split(jax.random.key(0), 2)
  batch = {'views': [jax.random.normal(k, (8, 16, 16, 3)) for k in keys]}
  return batch, *jax.jit(_method().init)(jax.random.key(0), batch)


def _unit(x):
  x = np.asarray(x, np.float64)
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def _outputs(params, state, view):
  """Projection and prediction of a view, layer by layer."""
  x = view
  for name, module in (
    ('encoder', TinyEncoder()),
    ('head', HEAD),
    ('predictor', _method().predictor),
  ):
    x, _ = variables.apply_part(name, module, params, state, x)
    x = x[0] if name == 'encoder' else x
    if name == 'head':
      z = x
  return z, x


def test_loss_and_gradient_are_those_of_targets_that_stay():
  """The gradient too: as if the other projection were a constant."""
  batch, params, state = _start()
  (loss, _), gradient = jax.jit(
    jax.value_and_grad(_method().loss, has_aux=True)
  )(params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int))
  outputs = [_outputs(params, state, view) for view in batch['views']]
  cosines = [
    (_unit(outputs[v][1]) * _unit(outputs[1 - v][0])).sum(1) for v in (0, 1)
  ]
  # float32 against float64.
  np.testing.assert_allclose(loss, -np.mean(cosines), rtol=1e-4, atol=1e-6)
  targets = [jnp.float32(_unit(z)) for z, _ in outputs]

  @jax.jit
  @jax.grad
  def expected(params):
    total = 0.0
    for v, view in enumerate(batch['views']):
      q = _outputs(params, state, view)[1]
      length = jnp.linalg.norm(q, axis=1, keepdims=True)
      total -= jnp.mean(jnp.sum(q / length * targets[1 - v], axis=1)) / 2
    return total

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
    gradient,
    expected(params),
  )


@pytest.mark.reference
def test_loss_and_gradient_equal_lightlys():
  import torch

  from benchmarks.peers import torch_simclr
  from jaxssl.ops.agreement import negative_cosine

  torch_simclr.libraries()
  from lightly.loss import NegativeCosineSimilarity

  q, z = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
  theirs = torch.tensor(q, requires_grad=True)
  expected = NegativeCosineSimilarity()(theirs, torch.tensor(z))
  expected.backward()
  found, gradient = jax.value_and_grad(negative_cosine)(
    jnp.asarray(q), jnp.asarray(z)
  )
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, theirs.grad.numpy(), atol=1e-6)


def test_a_predictor_without_units_is_a_user_error():
  with pytest.raises(UserError, match='predictor_dim is 0'):
    SimSiam(encoder=TinyEncoder(), predictor_dim=0)
