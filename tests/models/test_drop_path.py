import chex
import jax
import jax.numpy as jnp
import pytest

from jaxssl.models import drop_path


def test_rows_are_dropped_whole_or_scaled():
  keys = jax.random.split(jax.random.key(0), 4000)
  x = jnp.ones((4000, 2, 3))
  y = drop_path.drop_path(keys, x, rate=0.25)
  chex.assert_trees_all_equal(y, jnp.broadcast_to(y[:, :1, :1], y.shape))
  rows = y[:, 0, 0]
  kept = rows > 0
  chex.assert_trees_all_close(rows[kept], jnp.ones(kept.sum()) / 0.75)
  # Standard error of the rate: 0.007.
  assert kept.mean() == pytest.approx(0.75, abs=0.03)


def test_a_row_depends_on_its_own_key_only():
  keys = jax.random.split(jax.random.key(0), 64)
  x = jnp.ones((64, 2))
  whole = drop_path.drop_path(keys, x, rate=0.5)
  part = drop_path.drop_path(keys[40:], x[40:], rate=0.5)
  chex.assert_trees_all_equal(part, whole[40:])


def test_uses_of_the_keys_are_independent():
  keys = jax.random.split(jax.random.key(0), 2000)
  x = jnp.ones((2000, 1))
  first, second = (
    drop_path.drop_path(drop_path.fold_keys(keys, i), x, rate=0.5) > 0
    for i in (1, 2)
  )
  # Standard error: 0.011.
  assert (first == second).mean() == pytest.approx(0.5, abs=0.05)
  assert drop_path.fold_keys(None, 1) is None
