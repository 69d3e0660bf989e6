from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import pooling


@pytest.mark.parametrize('side', [1, 4, 7, 8])
@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('max_pool', [pooling.max_pool, pooling._remembered])
def test_equal_to_xla_with_gradient(max_pool, side, ties):
  x = jax.random.normal(jax.random.key(0), (2, side, side, 3))
  x = jnp.round(x) if ties else x

  def run(pool):
    return jax.jit(jax.vjp, static_argnums=0)(pool, x)

  y, transpose = run(max_pool)
  expected, expected_transpose = run(
    lambda x: nn.max_pool(x, (3, 3), (2, 2), [(1, 1)] * 2)
  )
  np.testing.assert_array_equal(y, expected)
  weight = jax.random.normal(jax.random.key(1), y.shape)
  # Up to four windows overlap; their gradients add in another order.
  np.testing.assert_allclose(
    transpose(weight)[0], expected_transpose(weight)[0], atol=1e-6
  )


def test_no_gradient_is_a_scatter_on_a_gpu():
  x = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.bfloat16)
  grad = jax.grad(lambda x: pooling.max_pool(x).astype(jnp.float32).sum())
  lowered = jax.jit(grad).trace(x).lower(lowering_platforms=('cuda',))
  assert 'scatter' not in lowered.as_text()
