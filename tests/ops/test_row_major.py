import chex
import jax
import jax.numpy as jnp
import pytest

from jaxssl import models
from jaxssl.ops.row_major import row_major
from jaxssl.planning import cuda


def test_numbers_and_gradients_stay():
  x = jnp.arange(6.0).reshape(2, 3)
  found, pullback = jax.vjp(row_major, x)
  chex.assert_trees_all_equal((found, pullback(x)), (x, (x,)))


@pytest.mark.skipif(
  not cuda.has_compiler(),
  reason='the compiler for GPUs is not installed: pip install "jaxssl[cuda]"',
)
def test_the_gradient_of_a_head_leaves_tokens_as_they_lie():
  encoder = models.make_encoder(
    'vit_ti16', depth=1, dim=64, num_heads=1, dtype='bfloat16'
  )
  images = jax.ShapeDtypeStruct((128, 32, 32, 3), jnp.float32)
  params = jax.eval_shape(encoder.init, jax.random.key(0), images)['params']
  head = jax.ShapeDtypeStruct((64, 64), jnp.float32)

  def loss(params, head, images):
    features, _ = encoder.apply({'params': params}, images, train=True)
    return jnp.square(features @ head).sum()

  (device,) = cuda.cards('h100', 1).devices
  sharding = jax.sharding.SingleDeviceSharding(device)
  placed = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    (params, head, images),
  )
  step = jax.jit(jax.grad(loss, (0, 1))).lower(*placed)
  text = step.compile(compiler_options=cuda.OPTIONS).as_text()
  # [b, N, D] with the rows closest together.
  assert 'bf16[128,5,64]{2,1,0}' in text
  assert 'bf16[128,5,64]{0,2,1}' not in text
