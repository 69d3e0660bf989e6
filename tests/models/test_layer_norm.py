import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models.layer_norm import LayerNorm

SHAPES = [(5, 12), (2, 3, 12)]


def _variables(dim):
  draws = np.random.default_rng(1)
  return {
    'params': {
      'scale': draws.uniform(0.5, 2.0, dim).astype(np.float32),
      'bias': draws.standard_normal(dim, np.float32),
    }
  }


def _images(shape, mean=0.0):
  draws = np.random.default_rng(0)
  return draws.standard_normal(shape, np.float32) + np.float32(mean)


def _value_and_gradients(module, x):
  weights = np.random.default_rng(2).standard_normal(x.shape, np.float32)

  def scalar(variables, x):
    return (module.apply(variables, x).astype(jnp.float32) * weights).sum()

  return jax.value_and_grad(scalar, argnums=(0, 1))(_variables(x.shape[-1]), x)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('mean', [0.0, 30.0])
def test_value_and_gradients_are_those_of_flax(shape, mean):
  x = _images(shape, mean)
  reference = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False)
  # Rounding of numbers near 30 leaves 30 * 2^-24 in values of order one.
  chex.assert_trees_all_close(
    _value_and_gradients(LayerNorm(), x),
    _value_and_gradients(reference, x),
    rtol=2e-5,
    atol=2e-5,
  )


def test_gradients_are_those_of_the_formula_in_double_precision():
  x = _images((4, 6))
  with jax.enable_x64(True):
    wide = jax.tree.map(np.float64, (_variables(6), x))
    weights = np.random.default_rng(2).standard_normal(x.shape, np.float32)

    def scalar(variables, x):
      centered = x - x.mean(-1, keepdims=True)
      var = (centered**2).mean(-1, keepdims=True)
      y = centered / jnp.sqrt(var + 1e-6)
      scale, bias = variables['params']['scale'], variables['params']['bias']
      return ((y * scale[None] + bias[None]) * weights).sum()

    expected = jax.grad(scalar, argnums=(0, 1))(*wide)
    expected = jax.tree.map(np.asarray, expected)
  _, ours = _value_and_gradients(LayerNorm(), x)
  # float32 rounding of sums of at most six terms of order one.
  chex.assert_trees_all_close(
    jax.tree.map(np.float64, ours), expected, atol=2e-6
  )


def test_half_precision_comes_back_in_the_types_that_went_in():
  x = jnp.asarray(_images((2, 3, 8)), jnp.bfloat16)
  module = LayerNorm(dtype=jnp.bfloat16)
  assert module.apply(_variables(8), x).dtype == jnp.bfloat16
  _, (parameters, dx) = _value_and_gradients(module, x)
  assert dx.dtype == jnp.bfloat16
  chex.assert_type(jax.tree.leaves(parameters), jnp.float32)


def test_statistics_do_not_cancel_at_a_large_mean():
  x = _images((3, 64)) * np.float32(0.01) + np.float32(1000.0)
  y = LayerNorm().apply(
    {
      'params': {
        'scale': np.ones(64, np.float32),
        'bias': np.zeros(64, np.float32),
      }
    },
    x,
  )
  wide = x.astype(np.float64)
  wide = wide - wide.mean(-1, keepdims=True)
  expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6)
  # The mean of numbers near 1000 is known to 6e-5, and they vary by 1e-2.
  chex.assert_trees_all_close(np.float64(y), expected, atol=2e-2)
