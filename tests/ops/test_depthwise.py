import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import depthwise
from jaxssl.ops.depthwise import depthwise_conv2d


def _drawn(shape, kernel_size):
  keys = jax.random.split(jax.random.key(0), 3)
  kernel = (kernel_size, kernel_size, 1, shape[-1])
  return [
    np.asarray(jax.random.normal(key, sides))
    for key, sides in zip(keys, (shape, kernel, shape), strict=True)
  ]


def _both_ways(function, x, kernel, grad):
  @jax.jit
  def run(x, kernel, grad):
    y, transpose = jax.vjp(function, x, kernel)
    return y, *transpose(grad)

  return run(x, kernel, grad)


# A map smaller than the kernel, one that is no square, another kernel.
@pytest.mark.parametrize(
  ('shape', 'size'),
  [((2, 9, 9, 5), 7), ((3, 2, 4, 3), 7), ((2, 8, 6, 4), 3)],
)
def test_result_and_gradients_are_xlas(shape, size):
  drawn = _drawn(shape, size)
  ours = _both_ways(depthwise_conv2d, *drawn)
  theirs = _both_ways(depthwise._by_groups, *drawn)
  # float32 sums of up to 49 products, or of 162 pixels, in another order.
  for one, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.reference
def test_result_and_gradients_are_pytorchs():
  import torch

  x, kernel, grad = _drawn((2, 9, 7, 5), 7)
  ours = _both_ways(depthwise_conv2d, x, kernel, grad)
  x_, kernel_ = (
    torch.tensor(np.ascontiguousarray(a), requires_grad=True)
    for a in (x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1))
  )
  y = torch.nn.functional.conv2d(x_, kernel_, padding=3, groups=5)
  y.backward(torch.tensor(np.ascontiguousarray(grad.transpose(0, 3, 1, 2))))
  theirs = (
    y.detach().numpy().transpose(0, 2, 3, 1),
    x_.grad.numpy().transpose(0, 2, 3, 1),
    kernel_.grad.numpy().transpose(2, 3, 1, 0),
  )
  for one, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_the_form_for_accelerators_is_that_for_cpus():
  x, _, grad = _drawn((2, 9, 7, 5), 7)
  np.testing.assert_allclose(
    depthwise._grad_kernel_by_groups(x, grad, size=7),
    depthwise._grad_kernel_by_shifts(x, grad, size=7),
    rtol=1e-5,
    atol=1e-4,
  )


def test_bfloat16_sums_in_float32():
  drawn = [jnp.asarray(a, jnp.bfloat16) for a in _drawn((2, 9, 9, 4), 7)]
  ours = _both_ways(depthwise_conv2d, *drawn)
  exact = _both_ways(depthwise_conv2d, *(a.astype(jnp.float32) for a in drawn))
  for one, other in zip(ours, exact, strict=True):
    assert one.dtype == jnp.bfloat16
    # Rounded once, to 8 bits.
    np.testing.assert_allclose(np.float32(one), other, rtol=2**-8, atol=1e-3)
