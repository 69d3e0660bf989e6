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


def test_protocol_averages_the_sets_and_takes_the_middle():
  def evaluate(variables):
    x = float(variables['x'])
    top1 = {'reference': x, 'a': x / 2, 'b': x / 4}
    return top1 | {f'{name}_mean_per_class': y / 2 for name, y in top1.items()}

  protocol = wise_ft.WiseFT(
    finetuned='',
    shifted={'a': '', 'b': ''},
    class_map=None,
    alphas=(0.0, 0.4, 1.0),
  )
  kept = protocol.run({'x': 0.0}, {'x': 1.0}, evaluate)
  assert kept['top1'] == pytest.approx(0.4 * 0.375)
  assert kept['mean_per_class'] == pytest.approx(0.2 * 0.375)
  assert kept['reference_1'] == 1.0
  assert kept['b_mean_per_class_1'] == 0.125
  assert kept['a_0.4'] == pytest.approx(0.2)
  row = protocol.by_alpha(kept)[1.0]
  assert row == {'reference': 1.0, 'shifted': 0.375, 'a': 0.5, 'b': 0.25}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'alphas': (0.5, 0.0)}, 'ascending'),
    ({'alphas': (0.0, 1.5)}, r'in \[0, 1\]'),
    ({'shifted': {'shifted': ''}}, "called 'shifted'"),
  ],
)
def test_settings_that_make_no_sense(changes, message):
  settings = {'finetuned': '', 'shifted': {}, 'class_map': None, **changes}
  with pytest.raises(errors.UserError, match=message):
    wise_ft.WiseFT(**settings)
