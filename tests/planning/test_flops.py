import jax
import jax.numpy as jnp
import pytest

from jaxssl import models
from jaxssl.planning import flops


def shape(*sides):
  return jax.ShapeDtypeStruct(sides, jnp.float32)


def convolve(x, w, stride=1):
  return jax.lax.conv_general_dilated(
    x, w, (stride, stride), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


def test_matrix_product_counts_twice_its_products():
  found = flops.matmul_flops(jnp.matmul, shape(5, 7), shape(7, 3))
  assert found == 2 * 5 * 7 * 3


def test_batched_product():
  found = flops.matmul_flops(jnp.matmul, shape(4, 5, 7), shape(4, 7, 3))
  assert found == 4 * 2 * 5 * 7 * 3


def test_convolution_leaves_out_padding():
  # On each axis 3 windows of 3 over 3 pixels meet 2 + 3 + 2.
  found = flops.matmul_flops(convolve, shape(2, 3, 3, 4), shape(3, 3, 4, 5))
  assert found == 2 * 2 * 7 * 7 * 4 * 5


@pytest.mark.parametrize('stride', [1, 2])
def test_gradients_of_a_convolution_cost_as_much_as_itself(stride):
  x, w = shape(2, 8, 8, 4), shape(3, 3, 4, 5)

  def summed(x, w):
    return convolve(x, w, stride).sum()

  forward = flops.matmul_flops(summed, x, w)
  both = flops.matmul_flops(jax.grad(summed, argnums=(0, 1)), x, w)
  # The value itself is not needed, and its convolution is dead code.
  assert both == pytest.approx(3 * forward)


def test_grouped_convolution():
  def depthwise(x, w):
    return jax.lax.conv_general_dilated(
      x,
      w,
      (1, 1),
      'VALID',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=4,
    )

  found = flops.matmul_flops(depthwise, shape(1, 3, 3, 4), shape(3, 3, 1, 4))
  assert found == 2 * 9 * 4


def test_loop_counts_every_round():
  def fn(x, w):
    return jax.lax.scan(lambda x, _: (x @ w, None), x, length=6)[0]

  assert flops.matmul_flops(fn, shape(2, 3), shape(3, 3)) == 6 * 2 * 2 * 3 * 3


def test_dearest_branch_counts():
  def fn(x, w):
    return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)

  assert flops.matmul_flops(fn, shape(2, 3), shape(3, 3)) == 2 * 2 * 2 * 3 * 3


def test_recomputation_counts():
  def fn(w):
    return jax.checkpoint(lambda w: jnp.sum((w @ w) @ w))(w)

  w = shape(3, 3)
  once = flops.matmul_flops(jax.grad(lambda w: jnp.sum((w @ w) @ w)), w)
  assert flops.matmul_flops(jax.grad(fn), w) > once


# As timm counts them, 4.09, 4.6 and 4.47 products and sums a picture of 224
# pixels; a ResNet's padding is 4 % of it.
@pytest.mark.parametrize(
  ('name', 'gflop'),
  [('resnet50', 8.18), ('vit_s16', 9.2), ('convnext_t', 8.94)],
)
def test_encoders_have_the_published_cost(name, gflop):
  encoder, images = models.make_encoder(name), shape(1, 224, 224, 3)
  variables = jax.eval_shape(encoder.init, jax.random.key(0), images)
  found = flops.matmul_flops(encoder.apply, variables, images)
  assert found / 1e9 == pytest.approx(gflop, rel=0.04)


def test_branch_of_the_platform_counts():
  def either(x, w):
    return jax.lax.platform_dependent(
      x, w, cpu=lambda x, w: x @ w @ w, default=jnp.matmul
    )

  sides = shape(3, 3), shape(3, 3)
  once = 2 * 3**3
  assert flops.matmul_flops(either, *sides, platform='cpu') == 2 * once
  assert flops.matmul_flops(either, *sides, platform='cuda') == once
