import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models.moments import moments


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axes', [(0, 1), (2,)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_moments_equal_numpy_in_float64(dtype, axes, keepdims):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((8, 16, 32)) + 1, dtype)
  mean, var = moments(x, axes, keepdims=keepdims)
  exact = np.asarray(x, np.float64)
  expected = exact.mean(axes, keepdims=keepdims)
  np.testing.assert_allclose(mean, expected, atol=1e-6)
  expected = exact.var(axes, keepdims=keepdims)
  np.testing.assert_allclose(var, expected, rtol=1e-5)


@pytest.mark.parametrize(
  ('dtype', 'spacing'),
  [('float32', 2**-9), ('bfloat16', 2.0), ('float16', 0.25)],
)
def test_variance_survives_a_mean_of_a_few_hundred_spacings(dtype, spacing):
  # One value in 64 is the next number that the type has; of float32, some way
  # off. A square in float32 is known to mean^2 / 2^24, 6 % of this variance.
  x = np.full((64, 4), 256.0)
  x[0] += spacing
  _, var = jax.jit(lambda x: moments(x, (0,)))(jnp.asarray(x, dtype))
  np.testing.assert_allclose(var, x.var(0), rtol=0.06)
