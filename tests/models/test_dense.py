import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import dense


def arguments(shape=(2, 3, 4), features=5, dtype=jnp.float32):
  draws = np.random.default_rng(0)
  x = draws.standard_normal(shape).astype(dtype)
  kernel = draws.standard_normal((shape[-1], features)).astype(dtype)
  return x, kernel, draws.standard_normal(features).astype(np.float32)


@pytest.mark.parametrize('shape', [(6, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_the_gradient_is_the_derived_one(shape):
  args = arguments(shape)
  weights = np.random.default_rng(1).standard_normal((*shape[:-1], 5))

  def loss(affine, *args):
    return (affine(*args) * weights.astype(np.float32)).sum()

  def plain(x, kernel, bias):
    return x @ kernel + jnp.broadcast_to(bias, (*shape[:-1], 5))

  for gradient in (jax.grad, jax.value_and_grad):
    found, expected = (
      gradient(functools.partial(loss, each), argnums=(0, 1, 2))(*args)
      for each in (dense.affine, plain)
    )
    chex.assert_trees_all_close(found, expected, atol=1e-5, rtol=1e-5)


def test_gradients_of_all_platforms_are_equal():
  x, kernel, _ = arguments()
  grad = np.random.default_rng(1).standard_normal((2, 3, 5), np.float32)
  chex.assert_trees_all_close(
    dense._gradients_by_rows(x, kernel, grad),
    dense._derived_gradients(x, kernel, grad),
    atol=1e-5,
    rtol=1e-5,
  )


@pytest.mark.parametrize(
  'gradients', [dense._gradients_by_rows, dense._derived_gradients]
)
def test_the_bias_adds_up_in_float32(gradients):
  x, kernel, _ = arguments((1, 4096, 4), dtype=jnp.bfloat16)
  grad = jnp.ones((1, 4096, 5), jnp.bfloat16)
  dx, dkernel, dbias = gradients(x, kernel, grad)
  assert (dx.dtype, dkernel.dtype) == (jnp.bfloat16, jnp.bfloat16)
  # A sum of ones in bfloat16 stays at 256.
  chex.assert_trees_all_equal(dbias, np.full(5, 4096, np.float32))


def test_on_a_cpu_a_kernel_reads_gradients_as_they_lie():
  x, kernel, bias = arguments((512, 64), features=96)

  def loss(x, kernel, bias):
    return jnp.tanh(dense.affine(x, kernel, bias)).sum()

  compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(x, kernel, bias)
  assert 'f32[96,512]' not in compiled.compile().as_text()
