import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops.agreement import squared_distance


@pytest.mark.parametrize(
  ('y', 'distance'), [((2.0, 0.0), 0.0), ((0.0, 3.0), 2.0), ((-1.0, 0.0), 4.0)]
)
def test_only_directions_count(y, distance):
  found = squared_distance(jnp.array([[5.0, 0.0]]), jnp.array([y]))
  np.testing.assert_allclose(found, distance, atol=1e-6)


def test_value_and_gradient_are_those_of_unit_vectors():
  x, y = np.random.default_rng(0).normal(size=(2, 6, 4))
  found, gradient = jax.value_and_grad(squared_distance)(
    jnp.float32(x), jnp.float32(y)
  )
  length = np.linalg.norm(x, axis=1, keepdims=True)
  unit, target = x / length, y / np.linalg.norm(y, axis=1, keepdims=True)
  # float32 against float64.
  expected = ((unit - target) ** 2).sum(axis=1).mean()
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  cosine = (unit * target).sum(axis=1, keepdims=True)
  slope = -2 * (target - cosine * unit) / length / len(x)
  np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)
