import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.methods import LeJEPA, variables
from jaxssl.methods.lejepa import projector
from jaxssl.ops.sigreg import random_directions, sigreg
from tests.tiny import TinyEncoder


def test_loss_is_the_weighted_sum_of_its_terms():
  method = LeJEPA(
    encoder=TinyEncoder(),
    head=projector(num_layers=2, hidden_dim=12, out_dim=6),
    regularization=0.1,
    num_directions=32,
  )
  keys = jax.random.split(jax.random.key(0), 3)
  sizes = (16, 16, 8)
  views = [
    jax.random.normal(k, (8, s, s, 3)) for k, s in zip(keys, sizes, strict=True)
  ]
  params, state = jax.jit(method.init)(jax.random.key(0), {'views': views})
  step = jnp.asarray(5)
  loss, aux = jax.jit(method.loss)(
    params, state, {'views': views}, key=jax.random.key(1), step=step
  )

  def run(name, module, x):
    tree, stats = variables.split(variables.tower(name, params, state['stats']))
    return variables.apply_train(module, tree, stats, x)[0]

  # Views of one size go through the encoder, and all through the head, at once.
  large, _ = run('encoder', method.encoder, jnp.concatenate(views[:2]))
  small, _ = run('encoder', method.encoder, views[2])
  z = run('head', method.head, jnp.concatenate([large, small]))
  z = z.reshape(3, 8, 6)
  directions = random_directions(
    jax.random.fold_in(jax.random.key(0), step), 6, 32
  )
  prediction = ((z - (z[:1] + z[1:2]) / 2) ** 2).mean()
  normality = np.mean([sigreg(view, directions) for view in z])
  np.testing.assert_allclose(aux.metrics['prediction'], prediction, rtol=1e-4)
  np.testing.assert_allclose(aux.metrics['sigreg'], normality, rtol=1e-4)
  expected = 0.9 * prediction + 0.1 * normality
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
