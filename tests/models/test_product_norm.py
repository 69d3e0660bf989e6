import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.models import norm
from jaxssl.models.product_norm import Reduction, normalized_product
from jaxssl.models.resnet import ResidualBlock

EPSILON = 1e-5


def _inputs(shortcut, dtype=jnp.float32):
  """What a ReLU has let through, kernel, scale, bias, shortcut."""
  rng = np.random.default_rng(0)

  def normal(*shape):
    return jnp.asarray(rng.standard_normal(shape), jnp.float32)

  x = jnp.maximum(normal(16, 5, 5, 8) + 0.5, 0.0).astype(dtype)
  added = normal(16, 5, 5, 24).astype(dtype) if shortcut else None
  return x, normal(8, 24), normal(24), normal(24), added


def _results(normalize, inputs):
  weights = jax.random.normal(jax.random.key(0), (16, 5, 5, 24))

  def loss(*inputs):
    y, mean, var = normalize(*inputs)
    return (y.astype(jnp.float32) * weights).sum(), (y, mean, var)

  places = tuple(i for i, x in enumerate(inputs) if x is not None)
  return jax.jit(jax.grad(loss, argnums=places, has_aux=True))(*inputs)


@pytest.mark.parametrize('shortcut', [True, False])
@pytest.mark.parametrize('relu', [True, False])
def test_values_and_gradients_are_those_of_the_parts(shortcut, relu):
  view = norm._View(None, grouped=False, relu=relu, dtype=jnp.float32)

  def parts(x, kernel, *others):
    return norm._normalize(x @ kernel, *others, EPSILON, view)

  def at_once(*inputs):
    reduction = Reduction(view.over_devices, relu, EPSILON)
    return normalized_product(*inputs, reduction)

  inputs = _inputs(shortcut)
  chex.assert_trees_all_close(
    _results(at_once, inputs), _results(parts, inputs), rtol=1e-4, atol=1e-4
  )


def test_in_bfloat16_the_result_has_the_mean_and_deviation_that_it_should():
  x, kernel, scale, bias, _ = _inputs(shortcut=False, dtype=jnp.bfloat16)
  reduction = Reduction(lambda mean: mean, relu=False, epsilon=EPSILON)
  y, _, _ = normalized_product(x, kernel, scale, bias, None, reduction)
  y = np.asarray(y, np.float64)
  # The kernel and the result are rounded to 8 bits.
  np.testing.assert_allclose(y.mean((0, 1, 2)), bias, atol=2e-3)
  np.testing.assert_allclose(y.std((0, 1, 2)), np.abs(scale), rtol=1e-2)


def test_devices_have_the_gradient_of_the_whole_batch():
  inputs = _inputs(shortcut=True)
  weights = jax.random.normal(jax.random.key(0), (16, 5, 5, 24))

  def gradient(x, kernel, scale, bias, shortcut, weights, axis_name):
    def over_devices(mean):
      return mean if axis_name is None else jax.lax.pmean(mean, axis_name)

    reduction = Reduction(over_devices, relu=True, epsilon=EPSILON)

    def loss(x, *parameters):
      y, _, _ = normalized_product(x, *parameters, shortcut, reduction)
      return (y * weights).sum()

    dx, *others = jax.grad(loss, argnums=(0, 1, 2, 3))(x, kernel, scale, bias)
    if axis_name is not None:
      others = jax.lax.psum(others, axis_name)
    return dx, others

  whole = gradient(*inputs, weights, None)
  cut = [x.reshape(8, 2, *x.shape[1:]) for x in (inputs[0], inputs[4], weights)]
  spread = jax.pmap(
    lambda x, shortcut, weights, *parameters: gradient(
      x, *parameters, shortcut, weights, 'data'
    ),
    axis_name='data',
    in_axes=(0, 0, 0, None, None, None),
  )
  dx, others = spread(*cut, *inputs[1:4])
  others = jax.tree.map(lambda x: x[0], others)
  chex.assert_trees_all_close(
    (dx.reshape(inputs[0].shape), others), whole, rtol=1e-4, atol=1e-4
  )


def _block(dtype):
  return ResidualBlock('bottleneck', 8, 1, False, 1, dtype)


def _lowered(dtype, platform):
  block, x = _block(dtype), jnp.zeros((4, 6, 6, 32), dtype)
  variables = block.init(jax.random.key(0), x, False, None)

  def loss(variables):
    y, _ = block.apply(variables, x, True, None, mutable=['batch_stats'])
    return y.astype(jnp.float32).sum()

  traced = jax.jit(jax.grad(loss)).trace(variables)
  return traced.lower(lowering_platforms=(platform,)).as_text()


def test_gpus_multiply_channels_with_channels_in_bfloat16_only():
  # The covariance of the 8 channels inside.
  covariance = re.compile(r'dot_general.*-> tensor<8x8xf32>')
  assert covariance.search(_lowered(jnp.bfloat16, 'cuda'))
  assert not covariance.search(_lowered(jnp.float32, 'cuda'))
  assert not covariance.search(_lowered(jnp.bfloat16, 'cpu'))


def test_evaluation_uses_running_statistics():
  bn = models.BatchNorm(dtype=jnp.bfloat16)
  x, kernel, *_ = _inputs(shortcut=False, dtype=jnp.bfloat16)
  variables = bn.init(jax.random.key(0), x, train=False, kernel=kernel)
  y = bn.apply(variables, x, train=False, kernel=kernel)
  expected = bn.apply(variables, x @ kernel.astype(x.dtype), train=False)
  chex.assert_trees_all_equal(y, expected)
