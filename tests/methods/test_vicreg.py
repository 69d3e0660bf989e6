import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import models
from jaxssl.methods import VICReg
from tests.tiny import TinyEncoder

HEAD = models.MoCoV3Head(num_layers=2, hidden_dim=12, out_dim=6, last_bn=False)


def test_loss_is_the_weighted_sum_of_its_terms():
  method = VICReg(
    encoder=TinyEncoder(), head=HEAD, invariance=2.0, variance=3.0
  )
  keys = jax.random.split(jax.random.key(0), 2)
  batch = {'views': [jax.random.normal(k, (8, 16, 16, 3)) for k in keys]}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  loss, aux = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )
  z = [
    np.asarray(
      method.net.apply(
        {'params': params, **state}, view, train=True, mutable=['batch_stats']
      )[0],
      np.float64,
    )
    for view in batch['views']
  ]
  covariances = [np.cov(view.T) for view in z]
  terms = {
    'invariance': ((z[0] - z[1]) ** 2).mean(),
    'variance': np.mean(
      [np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)) for c in covariances]
    ),
    'covariance': sum(
      ((c - np.diag(np.diag(c))) ** 2).sum() / 6 for c in covariances
    ),
  }
  for name, value in terms.items():
    np.testing.assert_allclose(aux.metrics[name], value, rtol=1e-4)
  expected = (
    2 * terms['invariance'] + 3 * terms['variance'] + terms['covariance']
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
