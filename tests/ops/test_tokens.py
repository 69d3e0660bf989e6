import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops.tokens import take_tokens


def results(take, x, places, weights):
  def loss(x):
    out = take(x, places)
    return (out.astype(jnp.float32) * weights).sum(), out

  return jax.jit(jax.grad(loss, has_aux=True))(x)


def derived(x, places):
  return jnp.take_along_axis(x, places[:, :, None], axis=1)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_a_choice_of_tokens_has_the_bits_of_the_derived_gradient(dtype):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((3, 7, 4)), dtype)
  places = np.argsort(rng.random((3, 7)), axis=1)[:, :5].astype(np.int32)
  weights = rng.standard_normal((3, 5, 4)).astype(np.float32)
  found, expected = (
    results(take, x, places, weights) for take in (take_tokens, derived)
  )
  chex.assert_trees_all_equal(found, expected)


def test_gradients_of_a_token_that_is_taken_twice_add_up():
  rng = np.random.default_rng(1)
  x = rng.standard_normal((2, 3, 4)).astype(np.float32)
  places = np.array([[0, 0, 2], [1, 1, 1]], np.int32)
  weights = rng.standard_normal((2, 3, 4)).astype(np.float32)
  found, expected = (
    results(take, x, places, weights) for take in (take_tokens, derived)
  )
  chex.assert_trees_all_close(found, expected, atol=1e-6)


def test_the_gradient_is_no_scatter():
  x = jnp.ones((2, 3, 4))
  grad = jax.grad(lambda x: take_tokens(x, jnp.zeros((2, 1), int)).sum())
  assert 'scatter' not in jax.jit(grad).lower(x).as_text()
