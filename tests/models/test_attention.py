import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import attention


@pytest.mark.parametrize(
  ('backend', 'dtype', 'length', 'width', 'expected'),
  [
    ('gpu', jnp.bfloat16, 197, 64, 'cudnn'),
    ('gpu', jnp.float16, 197, 128, 'cudnn'),
    ('gpu', jnp.float32, 197, 64, None),
    ('gpu', jnp.bfloat16, 197, 60, None),
    ('gpu', jnp.bfloat16, 197, 136, None),
    ('gpu', jnp.bfloat16, 1, 64, None),
    ('tpu', jnp.bfloat16, 197, 64, None),
    ('cpu', jnp.bfloat16, 197, 64, None),
  ],
)
def test_cudnn_only_where_its_conditions_hold(
  backend, dtype, length, width, expected
):
  q = jax.ShapeDtypeStruct((2, length, 3, width), dtype)
  assert attention.implementation(q, backend) == expected


def test_attend_equals_its_definition():
  rng = np.random.default_rng(0)
  q = rng.standard_normal((2, 3, 2, 4), np.float32)
  k, v = rng.standard_normal((2, 2, 5, 2, 4), np.float32)
  logits = np.einsum('bthd,bshd->bhts', q, k) / 2.0
  weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  expected = np.einsum('bhts,bshd->bthd', weights, v).reshape(2, 3, 8)
  chex.assert_trees_all_close(attention.attend(q, k, v), expected, atol=1e-5)
