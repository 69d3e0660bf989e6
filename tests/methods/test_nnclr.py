import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.methods import NNCLR, variables
from jaxssl.methods.nnclr import nearest, projector
from tests.tiny import TinyEncoder


def _unit(x):
  x = np.asarray(x, np.float64)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_nearest_is_the_row_with_the_largest_cosine():
  draws = np.random.default_rng(0)
  z, support = (_unit(draws.normal(size=(n, 4))) for n in (5, 9))
  found, cosines = nearest(jnp.float32(z), jnp.float32(support))
  expected = (z @ support.T).argmax(axis=1)
  np.testing.assert_allclose(found, support[expected], rtol=1e-5)
  np.testing.assert_allclose(cosines, (z @ support.T).max(axis=1), rtol=1e-5)


def test_loss_and_queue_are_those_of_the_paper():
  head = projector(num_layers=2, hidden_dim=12, out_dim=6)
  method = NNCLR(
    encoder=TinyEncoder(),
    head=head,
    predictor_dim=12,
    queue_size=24,
    temperature=0.3,
  )
  keys = jax.random.split(jax.random.key(0), 2)
  batch = {'views': [jax.random.normal(k, (8, 16, 16, 3)) for k in keys]}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  loss, aux = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )

  def run(name, module, x):
    tree, stats = variables.split(variables.tower(name, params, state['stats']))
    return variables.apply_train(module, tree, stats, x)[0]

  z = [
    run('head', head, run('encoder', method.encoder, view)[0])
    for view in batch['views']
  ]
  p = [_unit(run('predictor', method.predictor, one)) for one in z]
  queue = _unit(state['queue'])
  expected = 0.0
  for mine, other in ((0, 1), (1, 0)):
    neighbor = queue[(_unit(z[mine]) @ queue.T).argmax(axis=1)]
    logits = neighbor @ p[other].T / 0.3
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected -= np.log(np.diag(shares)).mean() / 2
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  _, after = method.update(params, state, aux.carry, step=jnp.zeros((), int))
  np.testing.assert_allclose(
    after['queue'], np.concatenate([_unit(z[0]), queue[:16]]), atol=1e-5
  )
