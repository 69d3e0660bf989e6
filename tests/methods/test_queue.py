import jax.numpy as jnp
import numpy as np

from jaxssl.methods.queue import push


def test_new_rows_come_first_and_old_ones_leave():
  queue = jnp.arange(4.0)[:, None]
  pushed = push(queue, jnp.array([[8.0], [9.0]]))
  np.testing.assert_array_equal(pushed[:, 0], [8, 9, 0, 1])


def test_a_batch_larger_than_the_queue():
  pushed = push(jnp.zeros((2, 3, 1)), jnp.arange(10.0).reshape(2, 5, 1))
  np.testing.assert_array_equal(pushed[..., 0], [[0, 1, 2], [5, 6, 7]])
