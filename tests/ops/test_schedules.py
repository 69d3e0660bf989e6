import functools
import math

import jax
import numpy as np
import optax
import pytest

from jaxssl.errors import UserError
from jaxssl.ops import schedules

START, END, WARM, STEPS, EPOCH = 0.6, 0.06, 8, 40, 4
COSINE = functools.partial(
  schedules.cosine,
  start=START,
  end=END,
  num_steps=STEPS,
  warmup_steps=WARM,
  warmup_start=0.1,
)


def _values(schedule, num_steps=STEPS):
  return np.array(jax.vmap(schedule)(np.arange(num_steps)))


# float32 cosines of up to pi are off by about 1e-7; values are below 1.
assert_close = functools.partial(np.testing.assert_allclose, atol=5e-7, rtol=0)


def test_step_convention_is_byols():
  ramp = [0.1 + (START - 0.1) * k / WARM for k in range(WARM)]
  rest = STEPS - WARM
  decay = [
    END + (START - END) / 2 * (1 + math.cos(math.pi * k / rest))
    for k in range(rest)
  ]
  assert_close(_values(COSINE()), ramp + decay)


def test_linspace_convention_is_dinos():
  # `cosine_scheduler` of DINO: np.linspace includes both ends.
  ramp = np.linspace(0.1, START, WARM)
  rest = np.arange(STEPS - WARM)
  decay = END + 0.5 * (START - END) * (1 + np.cos(np.pi * rest / len(rest)))
  values = _values(COSINE(convention='linspace'))
  assert_close(values, np.concatenate([ramp, decay]))
  assert values[0] == np.float32(0.1)
  assert values[WARM - 1] == values[WARM] == np.float32(START)


@pytest.mark.parametrize(
  ('at', 'steps', 'first'),
  [(0.8, 40, 32), (0.1, 30, 3), (0.3, 8, 3), (0.0, 4, 0), (1.0, 4, 4)],
)
def test_a_switch_is_thrown_once(at, steps, first):
  schedule = schedules.switch(start=START, end=END, at=at, num_steps=steps)
  expected = [START] * first + [END] * (steps + 2 - first)
  assert_close(_values(schedule, steps + 2), expected)


def test_linspace_with_one_warmup_step_begins_below():
  values = _values(COSINE(convention='linspace', warmup_steps=1))
  assert_close(values[:2], [0.1, START])


def test_step_convention_is_the_fractional_epoch_of_moco_v3():
  schedule = schedules.cosine(
    start=START, num_steps=STEPS, warmup_steps=2 * EPOCH
  )
  epochs, warm = STEPS / EPOCH, 2.0
  expected = []
  for k in range(STEPS):
    e = k / EPOCH
    angle = math.pi * (e - warm) / (epochs - warm)
    expected.append(
      START * e / warm if e < warm else START * 0.5 * (1 + math.cos(angle))
    )
  assert_close(_values(schedule), expected)


def test_epoch_convention_is_moco_v2s_and_constant_inside_an_epoch():
  schedule = schedules.cosine(
    start=START, num_steps=STEPS, convention='epoch', steps_per_epoch=EPOCH
  )
  epochs = STEPS // EPOCH
  expected = [
    0.5 * START * (1 + math.cos(math.pi * (k // EPOCH) / epochs))
    for k in range(STEPS)
  ]
  values = _values(schedule)
  assert_close(values, expected)
  per_epoch = values.reshape(epochs, EPOCH)
  np.testing.assert_array_equal(per_epoch, np.repeat(per_epoch[:, :1], 4, 1))


def test_an_epoch_starts_with_its_first_step_where_it_is_compiled():
  steps = np.arange(4100)
  schedule = schedules.cosine(
    start=1.0, num_steps=4100, convention='epoch', steps_per_epoch=41.0
  )
  found = jax.jit(jax.vmap(schedule))(steps)
  expected = 0.5 * (1 + np.cos(np.pi * (steps // 41) / 100))
  # Between neighbouring epochs lie 2e-4 and more.
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_epochs_of_a_fraction_of_steps_have_a_plateau_each():
  num_epochs, steps_per_epoch = 20, 7.43
  num_steps = round(num_epochs * steps_per_epoch)
  schedule = schedules.cosine(
    start=START,
    num_steps=num_steps,
    convention='epoch',
    steps_per_epoch=steps_per_epoch,
  )
  values = _values(schedule, num_steps)
  changes = 1 + np.flatnonzero(np.diff(values))
  starts = np.ceil(steps_per_epoch * np.arange(1, num_epochs))
  np.testing.assert_array_equal(changes, starts)


def test_whole_epochs_are_the_same_as_integer_or_float():
  values = [
    _values(COSINE(convention='epoch', steps_per_epoch=steps))
    for steps in (EPOCH, float(EPOCH))
  ]
  np.testing.assert_array_equal(*values)


def test_momentum_cosine_rises_to_one():
  m0, steps = 0.99, 30
  schedule = schedules.cosine(start=m0, end=1.0, num_steps=steps)
  k = np.arange(steps)
  expected = 1 - (1 - m0) * 0.5 * (1 + np.cos(np.pi * k / steps))
  assert_close(_values(schedule, steps), expected)
  assert float(schedule(steps)) == 1.0


def test_step_convention_equals_optax():
  ours = schedules.cosine(
    start=START, end=END, num_steps=STEPS, warmup_steps=WARM
  )
  theirs = optax.warmup_cosine_decay_schedule(0.0, START, WARM, STEPS, END)
  assert_close(_values(ours, STEPS + 5), _values(theirs, STEPS + 5))


@pytest.mark.parametrize('convention', ['step', 'linspace', 'epoch'])
def test_without_warmup_it_begins_at_start(convention):
  schedule = COSINE(warmup_steps=0, convention=convention)
  assert float(schedule(0)) == np.float32(START)


def test_the_end_stays():
  schedule = COSINE()
  assert_close([schedule(STEPS), schedule(10 * STEPS)], END)


@pytest.mark.parametrize('warmup_steps', [-1, STEPS, STEPS + 1])
def test_wrong_warmup_is_refused(warmup_steps):
  with pytest.raises(UserError, match=r'warmup_steps must be in \[0, num_st'):
    COSINE(warmup_steps=warmup_steps)


def test_unknown_convention_offers_the_closest():
  with pytest.raises(UserError, match="'linspaced'; did you mean 'linspace'"):
    COSINE(convention='linspaced')


def test_constant():
  assert_close(_values(schedules.constant(start=0.3), 3), 0.3)


def test_linear_stops_at_its_end():
  schedule = schedules.linear(start=1.0, end=3.0, num_steps=4)
  assert_close(_values(schedule, 6), [1.0, 1.5, 2.0, 2.5, 3.0, 3.0])


def test_piecewise_is_moco_v1s():
  schedule = schedules.piecewise(start=1.0, factor=0.1, boundary_steps=(2, 4))
  assert_close(_values(schedule, 6), [1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
  ('schedule', 'most'),
  [(COSINE(), START), (schedules.constant(start=0.3), 0.3)],
)
def test_the_highest_value_is_found_wherever_it_is(schedule, most):
  assert schedules.highest(schedule, STEPS) == pytest.approx(most, rel=1e-6)
