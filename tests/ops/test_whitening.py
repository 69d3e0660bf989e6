import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.ops.agreement import squared_distance
from jaxssl.ops.whitening import whiten

ROWS, DIM = 16, 3


def _views(dtype=np.float32):
  draws = np.random.default_rng(0)
  mixed = draws.normal(size=(2, ROWS, DIM)) @ draws.normal(size=(DIM, DIM))
  return (mixed + 5).astype(dtype)


def _loss(views, group, axis_name=None):
  x, y = (whiten(z, group=group, axis_name=axis_name) for z in views)
  return squared_distance(x, y)


@pytest.mark.parametrize('group', [0, 8])
def test_groups_have_mean_0_and_covariance_1(group):
  found = whiten(jnp.asarray(_views()[0]), group=group)
  for part in np.split(np.array(found), ROWS // (group or ROWS)):
    np.testing.assert_allclose(part.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(part.T), np.eye(DIM), atol=1e-4)


@pytest.mark.parametrize('group', [0, 4])
def test_gradient_on_eight_devices_is_that_of_the_global_batch(group):
  """To the rounding of float64: a group spans two devices, or all."""
  with jax.enable_x64(True):
    # Without the unit vectors of `squared_distance`, which are float32.
    def loss(views, axis_name=None):
      x, y = (whiten(z, group=group, axis_name=axis_name) for z in views)
      return jnp.mean((x - y) ** 2)

    views = jnp.asarray(_views(np.float64))
    value, gradient = jax.value_and_grad(loss)(views)

    @functools.partial(jax.pmap, axis_name='devices', in_axes=1, out_axes=1)
    def on_each(part):
      found, local = jax.value_and_grad(loss)(part, 'devices')
      return jax.lax.pmean(found, 'devices')[None], local

    found, local = on_each(views.reshape(2, 8, ROWS // 8, DIM))
    # Each device has the gradient of its rows; the step averages over devices.
    whole = local.reshape(2, ROWS, DIM) / 8
  assert gradient.dtype == np.float64
  np.testing.assert_allclose(found, np.full((1, 8), value), rtol=1e-9)
  np.testing.assert_allclose(whole, gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize('group', [2, 3, 5, 32])
def test_groups_that_do_not_serve_are_refused(group):
  with pytest.raises(UserError, match=f'among {group} rows of a batch of 16'):
    whiten(jnp.asarray(_views()[0]), group=group)


@pytest.mark.reference
@pytest.mark.parametrize('group', [0, 8])
def test_loss_and_gradient_equal_lightlys(group):
  """With its groups in the order of the rows."""
  from unittest import mock

  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import WMSELoss

  views = _views()
  theirs = torch.tensor(views.reshape(-1, DIM), requires_grad=True)
  loss = WMSELoss(embedding_dim=DIM, w_size=group or ROWS)
  with mock.patch('torch.randperm', torch.arange):
    expected = loss(theirs)
  expected.backward()
  found, gradient = jax.value_and_grad(_loss)(jnp.asarray(views), group)
  # float32 on both sides; covariances of rows with a mean of 5.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-4)
  np.testing.assert_allclose(
    gradient.reshape(-1, DIM), theirs.grad.numpy(), rtol=1e-3, atol=1e-5
  )
