import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import decorrelation

ROWS, DIM = 16, 5
OFF_DIAGONAL = 0.02


def _views(dtype=np.float32):
  random = np.random.default_rng(0)
  shared = random.normal(size=(ROWS, DIM))
  noise = random.normal(size=(2, ROWS, DIM))
  return (shared + 0.5 * noise).astype(dtype)


def _normalized(z, xp):
  centred = z - z.mean(0, keepdims=True)
  return centred / xp.sqrt((centred**2).mean(0, keepdims=True) + 1e-5)


def _barlow_twins(z1, z2, axis_name=None):
  correlation = decorrelation.cross_correlation(z1, z2, axis_name=axis_name)
  return decorrelation.barlow_twins(correlation, off_diagonal=OFF_DIAGONAL)


def _vicreg(z1, z2, axis_name=None):
  terms = [decorrelation.spread(z, axis_name=axis_name) for z in (z1, z2)]
  variance = sum(term.variance for term in terms) / 2
  covariance = sum(term.covariance for term in terms)
  # The mean of the rows at hand, as the step averages over devices.
  return 25 * jnp.mean((z1 - z2) ** 2) + 25 * variance + covariance


def test_barlow_twins_equals_the_sums_of_the_paper():
  z1, z2 = (_normalized(z, np) for z in _views(np.float64))
  expected = 0.0
  for i in range(DIM):
    for j in range(DIM):
      c = sum(z1[b, i] * z2[b, j] for b in range(ROWS)) / ROWS
      expected += (1 - c) ** 2 if i == j else OFF_DIAGONAL * c**2
  found = _barlow_twins(*map(jnp.float32, (z1, z2)))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_terms_of_vicreg_equal_numpys_covariance():
  z = _views(np.float64)[0] * np.array([0.1, 0.3, 1.0, 2.0, 0.5])
  covariance = np.cov(z.T)
  deviation = np.sqrt(np.diag(covariance) + 1e-4)
  others = covariance[~np.eye(DIM, dtype=bool)]
  found = decorrelation.spread(jnp.float32(z))
  hinge = np.maximum(0, 1 - deviation)
  assert 0 < (hinge > 0).sum() < DIM
  np.testing.assert_allclose(found.variance, hinge.mean(), rtol=1e-5)
  np.testing.assert_allclose(
    found.covariance, (others**2).sum() / DIM, rtol=1e-5
  )


def test_features_that_are_all_the_same_pay_the_whole_hinge():
  found, gradient = jax.value_and_grad(
    lambda z: decorrelation.spread(z).variance
  )(jnp.ones((ROWS, DIM)))
  np.testing.assert_allclose(found, 1 - 1e-2, rtol=1e-6)
  assert jnp.isfinite(gradient).all()


@pytest.mark.reference
def test_loss_and_gradient_equal_lightlys_barlow_twins():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import BarlowTwinsLoss

  views = _views()
  theirs = [torch.tensor(z, requires_grad=True) for z in views]
  expected = BarlowTwinsLoss(lambda_param=OFF_DIAGONAL)(*theirs)
  expected.backward()

  def loss(views):
    return _barlow_twins(*(_normalized(z, jnp) for z in views))

  found, gradient = jax.value_and_grad(loss)(jnp.asarray(views))
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  for ours, their in zip(gradient, theirs, strict=True):
    np.testing.assert_allclose(ours, their.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.reference
def test_loss_and_gradient_equal_the_formula_of_vicreg_in_torch():
  """lightly halves the covariance over the views, which the authors add."""
  import torch
  import torch.nn.functional as F

  views = _views()
  theirs = [torch.tensor(z, requires_grad=True) for z in views]
  centred = [z - z.mean(dim=0) for z in theirs]
  deviations = [torch.sqrt(z.var(dim=0) + 1e-4) for z in centred]
  matrices = [(z.T @ z) / (ROWS - 1) for z in centred]
  expected = (
    25 * F.mse_loss(*theirs)
    + 25 * sum(F.relu(1 - d).mean() / 2 for d in deviations)
    + sum((m - torch.diag(m.diag())).pow(2).sum() / DIM for m in matrices)
  )
  expected.backward()
  found, gradient = jax.value_and_grad(lambda v: _vicreg(*v))(views)
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  for ours, their in zip(gradient, theirs, strict=True):
    np.testing.assert_allclose(ours, their.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('loss', [_barlow_twins, _vicreg])
def test_gradient_on_eight_devices_is_that_of_the_global_batch(loss):
  """To the rounding of float64: nothing is lost between devices."""
  with jax.enable_x64(True):
    views = jnp.asarray(_views(np.float64))
    value, gradient = jax.value_and_grad(lambda v: loss(*v))(views)
    parts = views.reshape(2, 8, ROWS // 8, DIM).swapaxes(0, 1)

    @functools.partial(jax.pmap, axis_name='devices')
    def on_each(part):
      found, local = jax.value_and_grad(lambda v: loss(*v, 'devices'))(part)
      return jax.lax.pmean(found, 'devices'), local

    found, local = on_each(parts)
    # Each device has the gradient of its rows; the step averages over devices.
    whole = local.swapaxes(0, 1).reshape(2, ROWS, DIM) / 8
  assert gradient.dtype == np.float64
  np.testing.assert_allclose(found, np.full(8, value), rtol=1e-9)
  np.testing.assert_allclose(whole, gradient, rtol=1e-9, atol=1e-12)
