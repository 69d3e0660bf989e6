import chex
import jax.numpy as jnp
import pytest

from jaxssl import errors
from jaxssl.evals import wise_ft

START = {'params': {'w': jnp.array([0.0, 2.0]), 'b': jnp.array([1.0])}}
END = {'params': {'w': jnp.array([1.0, 4.0]), 'b': jnp.array([3.0])}}


def test_ends_and_middle():
  chex.assert_trees_all_equal(wise_ft.interpolate(START, END, 0.0), START)
  chex.assert_trees_all_equal(wise_ft.interpolate(START, END, 1.0), END)
  middle = wise_ft.interpolate(START, END, 0.25)
  chex.assert_trees_all_close(middle['params']['w'], jnp.array([0.25, 2.5]))


def test_half_precision_is_interpolated_in_float32():
  start = {'w': jnp.ones(1, jnp.bfloat16)}
  found = wise_ft.interpolate(start, {'w': jnp.full(1, 1.0078125)}, 0.5)
  assert found['w'].dtype == jnp.float32
  assert float(found['w'][0]) == 1.00390625


@pytest.mark.parametrize(
  'other',
  [{'params': {'w': jnp.zeros(2)}}, {'params': {'w': jnp.zeros(3), 'b': 0.0}}],
)
def test_other_architectures_are_refused(other):
  with pytest.raises(errors.UserError, match='no weights between'):
    wise_ft.interpolate(START, other, 0.5)


def test_sweep_evaluates_every_weight():
  found = wise_ft.sweep(
    START, END, lambda v: {'b': float(v['params']['b'][0])}, alphas=(0.0, 0.5)
  )
  assert found == {0.0: {'b': 1.0}, 0.5: {'b': 2.0}}
