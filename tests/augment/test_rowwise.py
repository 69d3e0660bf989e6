import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment.rowwise import rowwise


@rowwise
def _branch(which, x, factor):
  doubled = lambda x: 2.0 * x  # noqa: E731
  return jax.lax.cond(which, doubled, jnp.square, x) * factor


WHICH = jnp.arange(8) % 3 == 0
ROWS = jnp.arange(8.0 * 6).reshape(8, 2, 3)
EXPECTED = np.where(
  np.asarray(WHICH)[:, None, None], 2 * np.asarray(ROWS), ROWS**2
)


@pytest.mark.parametrize('wrap', [lambda f: f, jax.jit])
def test_vmap_equals_the_function_of_each_row(wrap):
  mapped = wrap(jax.vmap(_branch, in_axes=(0, 0, None)))
  chex.assert_trees_all_close(mapped(WHICH, ROWS, 1.0), EXPECTED)


def test_without_vmap_it_is_the_function():
  chex.assert_trees_all_close(_branch(WHICH[1], ROWS[1], 1.0), EXPECTED[1])


def test_sharded_rows_stay_on_their_devices():
  mesh = jax.make_mesh(
    (8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  sharding = jax.sharding.NamedSharding(
    mesh, jax.sharding.PartitionSpec('data')
  )
  which, rows = jax.device_put((WHICH, ROWS), sharding)
  run = jax.jit(jax.vmap(_branch, in_axes=(0, 0, None)))
  result = run(which, rows, 1.0)
  assert result.sharding.is_equivalent_to(sharding, result.ndim)
  assert 'all-gather' not in run.lower(which, rows, 1.0).compile().as_text()
  chex.assert_trees_all_close(result, EXPECTED)


def test_under_pmap():
  run = jax.pmap(jax.vmap(_branch, in_axes=(0, 0, None)), in_axes=(0, 0, None))
  result = run(WHICH.reshape(4, 2), ROWS.reshape(4, 2, 2, 3), 1.0)
  chex.assert_trees_all_close(result.reshape(8, 2, 3), EXPECTED)
