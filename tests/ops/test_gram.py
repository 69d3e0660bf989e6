import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops.gram import gram_distance


def _patches(width, seed):
  draws = np.random.default_rng(seed)
  return draws.normal(size=(3, 7, width)).astype(np.float32)


def test_it_is_the_squared_difference_of_all_cosines():
  x, y = _patches(5, 0), _patches(4, 1)
  expected = np.zeros(3)
  for b in range(3):
    u, v = (
      z[b].astype(np.float64) / np.linalg.norm(z[b], axis=1, keepdims=True)
      for z in (x, y)
    )
    for m in range(7):
      for n in range(7):
        expected[b] += (u[m] @ u[n] - v[m] @ v[n]) ** 2 / 49
  np.testing.assert_allclose(gram_distance(x, y), expected, rtol=1e-5)


def test_lengths_and_a_rotation_do_not_matter():
  x = _patches(5, 0)
  rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))
  lengths = np.linspace(0.1, 10, 7, dtype=np.float32)[:, None]
  turned = jnp.float32(x @ rotation * lengths)
  np.testing.assert_allclose(gram_distance(x, turned), 0, atol=1e-10)


@pytest.mark.reference
def test_value_and_gradient_are_those_of_the_authors_steps_in_torch():
  import torch
  import torch.nn.functional as F

  x, y = _patches(5, 0), _patches(5, 1)
  theirs = torch.tensor(x, requires_grad=True)
  cosines = [
    z @ z.transpose(-1, -2)
    for z in (F.normalize(theirs, dim=-1), F.normalize(torch.tensor(y), dim=-1))
  ]
  expected = F.mse_loss(*cosines)
  expected.backward()
  found, gradient = jax.value_and_grad(lambda x: gram_distance(x, y).mean())(
    jnp.asarray(x)
  )
  # float32 on both sides.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(
    gradient, theirs.grad.numpy(), rtol=1e-4, atol=1e-7
  )
