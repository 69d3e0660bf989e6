import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxssl.ops.cross_entropy import label_entropy


def test_equal_to_optax_with_gradient():
  rng = np.random.default_rng(0)
  logits = rng.standard_normal((3, 4, 5)).astype(np.float32) * 10
  labels = rng.integers(0, 5, (3, 4))

  def results(entropy):
    def loss(x):
      losses = entropy(x, labels)
      return losses.sum(), losses

    return jax.grad(loss, has_aux=True)(jnp.asarray(logits))

  expected = results(optax.softmax_cross_entropy_with_integer_labels)
  chex.assert_trees_all_close(results(label_entropy), expected, atol=1e-5)


def test_the_gradient_is_no_scatter():
  x, labels = jnp.ones((2, 3)), jnp.zeros(2, int)
  grad = jax.grad(lambda x: label_entropy(x, labels).sum())
  assert 'scatter' not in jax.jit(grad).lower(x).as_text()
