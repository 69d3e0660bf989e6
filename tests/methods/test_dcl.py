import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import contrastive
from tests import tiny_methods

ROWS, DIM, TEMPERATURE = 6, 4, 0.3


def _views():
  return np.random.default_rng(0).normal(size=(2, ROWS, DIM)).astype(np.float32)


def _loss(views):
  loss, _ = contrastive.nt_xent(*views, temperature=TEMPERATURE, decoupled=True)
  return loss


def test_the_positive_is_not_in_the_denominator():
  z = np.concatenate(_views()).astype(np.float64)
  z /= np.linalg.norm(z, axis=1, keepdims=True)
  logits = z @ z.T / TEMPERATURE
  expected = 0.0
  for i in range(2 * ROWS):
    j = (i + ROWS) % (2 * ROWS)
    others = [k for k in range(2 * ROWS) if k not in (i, j)]
    expected += np.log(np.exp(logits[i, others]).sum()) - logits[i, j]
  np.testing.assert_allclose(
    _loss(jnp.asarray(_views())), expected / (2 * ROWS), rtol=1e-5
  )


def test_the_method_is_simclr_decoupled():
  assert tiny_methods.make('dcl').decoupled
  assert not tiny_methods.make('simclr').decoupled


@pytest.mark.reference
def test_loss_and_gradient_equal_lightlys():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import DCLLoss

  theirs = [torch.tensor(z, requires_grad=True) for z in _views()]
  expected = DCLLoss(temperature=TEMPERATURE)(*theirs)
  expected.backward()
  found, gradient = jax.value_and_grad(_loss)(jnp.asarray(_views()))
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  for ours, their in zip(gradient, theirs, strict=True):
    np.testing.assert_allclose(ours, their.grad.numpy(), rtol=1e-4, atol=1e-6)
