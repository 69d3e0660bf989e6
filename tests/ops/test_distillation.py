import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops.distillation import entropy, masked_distillation

ROWS, PATCHES, PROTOTYPES = 5, 7, 9


def _case():
  """Logits of both networks and a mask; the last picture hides nothing."""
  draws = np.random.default_rng(0)
  shape = (ROWS, PATCHES, PROTOTYPES)
  teacher, student = draws.normal(size=(2, *shape)).astype(np.float32)
  hidden = draws.random((ROWS, PATCHES)) < 0.5
  hidden[-1] = False
  return teacher, student, hidden


def test_value_and_gradient_are_those_of_the_formula():
  teacher, student, hidden = _case()
  targets = np.array(jax.nn.softmax(teacher / 0.5), np.float64)
  x = student.astype(np.float64) / 0.1
  probs = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
  loss, gradient = 0.0, np.zeros_like(x)
  for b in range(ROWS):
    for m in np.flatnonzero(hidden[b]):
      weight = 1 / hidden[b].sum() / ROWS
      loss -= weight * (targets[b, m] * np.log(probs[b, m])).sum()
      gradient[b, m] = weight * (probs[b, m] - targets[b, m]) / 0.1
  found, theirs = jax.value_and_grad(masked_distillation, argnums=1)(
    jnp.asarray(targets, jnp.float32),
    student,
    hidden.astype(np.float32),
    temperature=0.1,
  )
  # float32 against float64.
  np.testing.assert_allclose(found, loss, rtol=1e-5)
  np.testing.assert_allclose(theirs, gradient, rtol=1e-4, atol=1e-6)


def test_no_hidden_patches_have_no_loss_and_no_gradient():
  teacher, student, hidden = _case()
  found, gradient = jax.value_and_grad(masked_distillation, argnums=1)(
    jax.nn.softmax(teacher), student, 0.0 * hidden, temperature=0.1
  )
  assert found == 0
  np.testing.assert_array_equal(gradient, np.zeros_like(student))


def test_entropy_is_zero_of_one_answer_and_ln_k_of_all():
  found = entropy(jnp.stack([jnp.eye(4)[0], jnp.full(4, 0.25)]))
  np.testing.assert_allclose(found, [0, math.log(4)], atol=1e-7)


@pytest.mark.reference
def test_masked_loss_and_gradient_equal_lightlys():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import IBOTPatchLoss

  teacher, student, hidden = _case()
  center = np.random.default_rng(1).normal(size=(1, PROTOTYPES))
  reference = IBOTPatchLoss(PROTOTYPES, teacher_temp=0.05, student_temp=0.1)
  reference.center.center.copy_(torch.tensor(center))
  theirs = torch.tensor(student, requires_grad=True)
  # It takes the hidden patches alone, and the mask as a picture.
  expected = reference(
    torch.tensor(teacher[hidden]),
    theirs[torch.tensor(hidden)],
    torch.tensor(hidden[:, None]),
  )
  expected.backward()
  targets = jax.nn.softmax((teacher - center.astype(np.float32)) / 0.05)
  found, gradient = jax.value_and_grad(masked_distillation, argnums=1)(
    targets, student, hidden.astype(np.float32), temperature=0.1
  )
  # float32 on both sides; logits are divided by 0.05 and 0.1.
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, theirs.grad, rtol=1e-4, atol=1e-6)
