import functools

import chex
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import convolution


def _reference(x, kernel, stride):
  pad = kernel.shape[0] // 2
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(pad, pad)] * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


@pytest.mark.parametrize(
  ('batch', 'side', 'channels', 'features', 'k', 'stride'),
  [
    (4, 8, 5, 7, 3, 1),
    (4, 8, 5, 7, 3, 2),
    (4, 9, 3, 6, 7, 2),
    (6, 2, 8, 4, 3, 1),
    (6, 2, 8, 4, 3, 2),
    (6, 1, 8, 4, 3, 1),
  ],
)
def test_equal_to_xla_with_gradients(
  batch, side, channels, features, k, stride
):
  x_key, kernel_key, weight_key = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(x_key, (batch, side, side, channels))
  kernel = jax.random.normal(kernel_key, (k, k, channels, features))
  weight = jax.random.normal(weight_key, _reference(x, kernel, stride).shape)

  def run(convolve):
    def loss(x, kernel):
      y = convolve(x, kernel, stride)
      return (y * weight).sum(), y

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(x, kernel)

  (_, y), grads = run(convolution.conv2d)
  (_, expected), expected_grads = run(_reference)
  # Sums of float32 in another order.
  for a, b in zip((y, *grads), (expected, *expected_grads), strict=True):
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a, b, atol=3e-6 * scale, rtol=0)


def test_gradient_for_sharded_rows():
  chex.assert_devices_available(8, 'cpu')
  auto = (jax.sharding.AxisType.Auto,)
  mesh = jax.make_mesh((8,), ('data',), auto)
  rows = jax.NamedSharding(mesh, jax.sharding.PartitionSpec('data'))
  x = jax.random.normal(jax.random.key(0), (16, 8, 8, 4))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 4, 6))

  @functools.partial(jax.grad, argnums=1)
  def grad(x, kernel):
    return jnp.sin(convolution.conv2d(x, kernel)).sum()

  expected = jax.jit(grad)(x, kernel)
  sharded = jax.jit(grad)(jax.device_put(x, rows), kernel)
  np.testing.assert_allclose(sharded, expected, atol=1e-4, rtol=1e-5)
