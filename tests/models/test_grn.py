import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models.grn import GRN


def _drawn():
  rng = np.random.default_rng(0)
  x, grad = rng.standard_normal((2, 2, 3, 4, 5), np.float32)
  x[0, ..., 2] = 0  # a channel that is off in one image
  params = {
    'scale': rng.standard_normal(5, np.float32),
    'bias': rng.standard_normal(5, np.float32),
  }
  return x, params, grad


@pytest.mark.reference
def test_result_and_gradients_equal_timm():
  from timm.layers.grn import GlobalResponseNorm
  import torch

  x, params, grad = _drawn()
  theirs = GlobalResponseNorm(5)
  theirs.weight.data = torch.tensor(params['scale'])
  theirs.bias.data = torch.tensor(params['bias'])
  x_ = torch.tensor(x, requires_grad=True)
  y_ = theirs(x_)
  y_.backward(torch.tensor(grad))
  y, transpose = jax.vjp(lambda p, x: GRN().apply({'params': p}, x), params, x)
  found, grad_x = transpose(jnp.asarray(grad))
  for one, other in (
    (y, y_),
    (grad_x, x_.grad),
    (found['scale'], theirs.weight.grad),
    (found['bias'], theirs.bias.grad),
  ):
    np.testing.assert_allclose(
      one, other.detach().numpy(), rtol=1e-5, atol=1e-5
    )


def test_it_starts_as_identity():
  x, _, _ = _drawn()
  y, _ = GRN().init_with_output(jax.random.key(0), x)
  np.testing.assert_array_equal(y, x)


def test_a_channel_of_zeros_has_a_finite_gradient():
  x, params, _ = _drawn()
  grad = jax.grad(lambda x: GRN().apply({'params': params}, x).sum())(x)
  assert np.isfinite(grad).all()
