import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import word_table
from jaxssl.parallel import modes

SIZE, DIM = 11, 4


def _added(ids, rows, size):
  total = np.zeros((size + 1, rows.shape[1]))
  np.add.at(total, np.minimum(ids, size), rows.astype(np.float64))
  return total[:size]


# Less than a block; a whole one; blocks of one id; so many blocks that their
# sums are added up in blocks too; more ids than rows.
@pytest.mark.parametrize(
  ('count', 'size'),
  [(5, 3), (128, 4), (700, 2), (129, 400), (20_000, 60), (20_000, 4000)],
)
@pytest.mark.parametrize('dtype', [np.float32, jnp.bfloat16])
def test_sums_are_those_of_one_row_after_the_other(count, size, dtype):
  rng = np.random.default_rng(count)
  # Some ids are not in the table, and half of the rows have the same.
  ids = rng.integers(0, size + 2, count).astype(np.int32)
  ids = np.where(rng.random(count) < 0.5, size // 2, ids)
  rows = rng.standard_normal((count, DIM)).astype(dtype)
  found = word_table.sums_by_id(jnp.asarray(ids), jnp.asarray(rows), size)
  assert found.dtype == jnp.float32
  # Of up to ten thousand numbers, in float32.
  chex.assert_trees_all_close(
    np.float64(found), _added(ids, rows, size), rtol=1e-5, atol=2e-4
  )


def _gradient(ids, weights, table, axis_name=None):
  def loss(table):
    found = word_table.look_up(table, ids, axis_name=axis_name)
    return (found * weights).sum()

  return jax.grad(loss)(table)


def _batch():
  rng = np.random.default_rng(0)
  ids = rng.integers(0, SIZE, (16, 5)).astype(np.int32)
  weights = rng.standard_normal((16, 5, DIM)).astype(np.float32)
  table = rng.standard_normal((SIZE, DIM)).astype(np.float32)
  return jnp.asarray(ids), jnp.asarray(weights), jnp.asarray(table)


def test_the_gradient_on_a_cpu_has_the_bits_of_the_derived_one():
  ids, weights, table = _batch()
  derived = jax.grad(lambda table: (table[ids] * weights).sum())(table)
  found = jax.jit(_gradient)(ids, weights, table)
  chex.assert_trees_all_equal(found, derived)


@pytest.mark.parametrize('rows', [16, 4])
def test_each_device_sorts_its_own_rows(rows):
  # Four rows cannot be spread over eight devices.
  ids, weights, _ = jax.tree.map(lambda x: x[:rows], _batch())
  sums = functools.partial(
    word_table._sorted_sums, size=SIZE, dtype=jnp.float32, axis_name=None
  )
  mode = modes.Jit(modes.make_mesh())

  def step(state, batch):
    return {'table': sums(*batch)}, {}

  compiled = mode.compile(step)
  found = compiled({}, (ids, weights))[0]['table']
  expected = _added(
    np.asarray(ids).ravel(), np.asarray(weights).reshape(-1, DIM), SIZE
  )
  chex.assert_trees_all_close(np.float64(found), expected, atol=1e-5)
  text = compiled.lower({}, (ids, weights)).as_text()
  assert ('shard_map' in text or 'manual' in text) == (rows == 16)


def test_the_gradient_is_no_scatter_on_a_gpu():
  traced = jax.jit(_gradient).trace(*_batch())
  lowered = traced.lower(lowering_platforms=('cuda',))
  assert 'scatter' not in lowered.as_text()
