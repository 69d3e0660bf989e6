import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import BarlowTwins
from tests.tiny import TinyEncoder


def _method(**fields):
  head = models.MoCoV3Head(num_layers=2, hidden_dim=12, out_dim=6, **fields)
  return BarlowTwins(encoder=TinyEncoder(), head=head, off_diagonal=0.1)


def _views():
  keys = jax.random.split(jax.random.key(0), 2)
  return [jax.random.normal(k, (8, 16, 16, 3)) for k in keys]


def test_loss_is_that_of_projections_each_with_its_own_statistics():
  method, views = _method(), _views()
  batch = {'views': views}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  loss, aux = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )
  z1, z2 = (
    np.asarray(
      method.net.apply(
        {'params': params, **state}, view, train=True, mutable=['batch_stats']
      )[0],
      np.float64,
    )
    for view in views
  )
  for z in (z1, z2):
    # The head's last BatchNorm; its epsilon takes a little of the variance.
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-2)
  correlation = z1.T @ z2 / len(z1)
  weights = np.where(np.eye(6, dtype=bool), 1.0, 0.1)
  expected = (weights * (np.eye(6) - correlation) ** 2).sum()
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  np.testing.assert_allclose(
    aux.metrics['mean_correlation'], np.diag(correlation).mean(), atol=1e-5
  )


def test_a_head_without_a_last_norm_is_refused():
  with pytest.raises(errors.UserError, match='last_bn'):
    _method(last_bn=False)
