import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.ops.koleo import koleo

ROWS, DIM = 16, 5


def _features(dtype=np.float32):
  return np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(dtype)


def _formula(x, group):
  """One row at a time, in float64."""
  x = x.astype(np.float64)
  unit = x / np.linalg.norm(x, axis=1, keepdims=True)
  logs = []
  for i, row in enumerate(unit):
    first = i // group * group
    others = [j for j in range(first, first + group) if j != i]
    distances = [np.linalg.norm(row - unit[j] + 1e-8) for j in others]
    logs.append(np.log(min(distances) + 1e-8))
  return -np.mean(logs)


@pytest.mark.parametrize('group', [0, 2, 8])
def test_it_is_the_distance_to_the_nearest_of_the_group(group):
  found = koleo(jnp.asarray(_features()), group=group)
  np.testing.assert_allclose(
    found, _formula(_features(), group or ROWS), rtol=1e-5
  )


def test_length_does_not_matter_and_spreading_lowers_it():
  x = jnp.asarray(_features())
  lengths = jnp.linspace(0.1, 10, ROWS)[:, None]
  np.testing.assert_allclose(koleo(lengths * x), koleo(x), rtol=1e-5)
  moved = x - 0.01 * jax.grad(koleo)(x)
  assert koleo(moved) < koleo(x) < koleo(x + 3)


def test_rows_that_are_the_same_are_finite_and_can_part():
  x = jnp.ones((ROWS, DIM))
  found, gradient = jax.value_and_grad(koleo)(x)
  # |u - u + 1e-8| = 1e-8 sqrt(D).
  expected = -np.log(1e-8 * (1 + DIM**0.5))
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize('group', [0, 2, 4])
def test_gradient_on_eight_devices_is_that_of_the_global_batch(group):
  """To the rounding of float64: neighbours are found on other devices."""
  with jax.enable_x64(True):
    x = jnp.asarray(_features(np.float64))
    value, gradient = jax.value_and_grad(koleo)(x, group=group)

    @functools.partial(jax.pmap, axis_name='devices')
    def on_each(part):
      loss = functools.partial(koleo, group=group, axis_name='devices')
      found, local = jax.value_and_grad(loss)(part)
      return jax.lax.pmean(found, 'devices'), local

    found, local = on_each(x.reshape(8, ROWS // 8, DIM))
    # Each device has the gradient of its rows; the step averages over devices.
    whole = local.reshape(ROWS, DIM) / 8
  assert gradient.dtype == np.float64
  np.testing.assert_allclose(found, np.full(8, value), rtol=1e-9)
  np.testing.assert_allclose(whole, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('group', [1, 3, 32])
def test_groups_that_do_not_divide_the_batch_are_refused(group):
  with pytest.raises(UserError, match=f'among {group} rows of a batch of 16'):
    koleo(jnp.asarray(_features()), group=group)


@pytest.mark.reference
def test_value_and_gradient_equal_lightlys():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import KoLeoLoss

  x = torch.tensor(_features(), requires_grad=True)
  expected = KoLeoLoss()(x)
  expected.backward()
  found, gradient = jax.value_and_grad(koleo)(jnp.asarray(_features()))
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-4, atol=1e-6)
