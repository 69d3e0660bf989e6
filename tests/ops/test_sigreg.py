import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import sigreg as sigreg_lib
from jaxssl.ops.sigreg import random_directions, sigreg

VIEWS, ROWS, DIM, DIRECTIONS = 2, 16, 5, 32


def _embeddings(dtype=np.float32):
  draws = np.random.default_rng(0).normal(size=(VIEWS, ROWS, DIM))
  return (0.7 * draws + 0.2).astype(dtype)


def _directions():
  return random_directions(jax.random.key(3), DIM, DIRECTIONS)


def test_directions_have_length_one():
  lengths = jnp.linalg.norm(_directions(), axis=0)
  np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_it_is_the_integral_of_the_paper():
  """By a fine grid over both signs of t, one direction and row at a time."""
  z, directions = _embeddings(np.float64), np.asarray(_directions(), np.float64)
  t = np.linspace(-3, 3, 4001)
  normal = np.exp(-(t**2) / 2)
  values = []
  for view in z:
    for direction in directions.T:
      empirical = np.mean(
        [np.exp(1j * t * (row @ direction)) for row in view], 0
      )
      error = np.abs(empirical - normal) ** 2 * normal
      values.append(ROWS * np.trapezoid(error, t))
  found = sigreg(_embeddings(), _directions())
  # The trapezoidal rule with 17 points, as the authors'.
  np.testing.assert_allclose(found, np.mean(values), rtol=5e-3)


@pytest.mark.parametrize('rows', [64, 4096])
def test_normal_embeddings_have_the_value_of_the_docstring(rows):
  z = jax.random.normal(jax.random.key(0), (rows, 64))
  directions = random_directions(jax.random.key(1), 64, 1024)
  # By the directions, which see the same 64 dimensions.
  np.testing.assert_allclose(sigreg(z, directions), 1.05, rtol=0.15)


def test_it_sees_scale_and_place_and_shape():
  z = jax.random.normal(jax.random.key(0), (512, 8))
  directions = random_directions(jax.random.key(1), 8, 256)
  least = sigreg(z, directions)
  rank_one = z[:, :1] * jnp.ones((1, 8))
  for worse in (2 * z, z / 2, z + 1, jnp.sign(z) * 2, rank_one, 0 * z):
    assert sigreg(worse, directions) > 5 * least


def test_gradient_on_eight_devices_is_that_of_the_global_batch():
  """To the rounding of float64: nothing is lost between devices."""
  with jax.enable_x64(True):
    z = jnp.asarray(_embeddings(np.float64))
    directions = jnp.asarray(_directions(), jnp.float64)
    value, gradient = jax.value_and_grad(sigreg)(z, directions)
    parts = z.reshape(VIEWS, 8, ROWS // 8, DIM).swapaxes(0, 1)

    @functools.partial(jax.pmap, axis_name='devices')
    def on_each(part):
      loss = functools.partial(sigreg, axis_name='devices')
      found, local = jax.value_and_grad(loss)(part, directions)
      return jax.lax.pmean(found, 'devices'), local

    found, local = on_each(parts)
    # Each device has the gradient of its rows; the step averages over devices.
    whole = local.swapaxes(0, 1).reshape(VIEWS, ROWS, DIM) / 8
  assert gradient.dtype == np.float64
  np.testing.assert_allclose(found, np.full(8, value), rtol=1e-9)
  np.testing.assert_allclose(whole, gradient, rtol=1e-9, atol=1e-12)


def test_angles_are_not_kept_for_the_backward_pass():
  kept = jax.eval_shape(
    lambda x, t: jax.vjp(sigreg_lib._moments, x, t)[1],
    jnp.zeros((ROWS, DIRECTIONS)),
    jnp.zeros(sigreg_lib.KNOTS),
  )
  sizes = [leaf.size for leaf in jax.tree.leaves(kept)]
  assert max(sizes) == ROWS * DIRECTIONS


@pytest.mark.reference
def test_value_and_gradient_equal_lightlys(monkeypatch):
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss.lejepa_loss import SIGReg

  theirs = SIGReg(num_vectors=DIRECTIONS)
  directions = torch.tensor(np.asarray(_directions()))
  monkeypatch.setattr(theirs, '_generate_unit_vectors', lambda *_: directions)
  z = torch.tensor(_embeddings(), requires_grad=True)
  expected = theirs(z)
  expected.backward()
  found, gradient = jax.value_and_grad(sigreg)(
    jnp.asarray(_embeddings()), _directions()
  )
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-4, atol=1e-6)
