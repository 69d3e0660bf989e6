import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models


def _features(b=6, dim=16):
  rng = np.random.default_rng(0)
  return rng.standard_normal((b, dim), np.float32)


def test_linear_starts_with_small_normal_kernel_and_zero_bias():
  head = models.Linear(512)
  variables = head.init(jax.random.key(0), _features(dim=512))
  params = variables['params']['fc']
  # 262 000 samples: the standard error of the deviation is 0.14 %.
  assert params['kernel'].std() == pytest.approx(0.01, rel=0.01)
  chex.assert_trees_all_equal(params['bias'], jnp.zeros(512))


def test_linear_takes_another_initialiser():
  head = models.Linear(3, kernel_init=jax.nn.initializers.zeros)
  x = _features()
  logits, _ = head.init_with_output(jax.random.key(0), x, train=True)
  chex.assert_trees_all_equal(logits, jnp.zeros((6, 3)))


def test_logits_are_float32_for_bfloat16():
  x = jnp.asarray(_features(), jnp.bfloat16)
  logits, variables = models.Linear(3).init_with_output(jax.random.key(0), x)
  assert logits.dtype == jnp.float32
  chex.assert_type(jax.tree.leaves(variables), jnp.float32)
