"""What is counted; how long it takes is nobody's business here."""

import itertools

import pytest

from jaxssl.parallel.modes import make_mode
from jaxssl.planning import speed
from tests.train import test_loop


class SlowBatches:
  """Every batch takes a second of a clock of its own."""

  bad = 0

  def __init__(self, clock):
    self._clock, self.wait_seconds, self.asked = clock, 0.0, 0

  def __iter__(self):
    return self

  def __next__(self):
    self.asked += 1
    self._clock.now += 1.0
    self.wait_seconds += 1.0
    return self.asked

  def close(self):
    self.closed = True


class Clock:
  now = 0.0

  def perf_counter(self):
    return self.now

  def process_time(self):
    return self.now / 4


@pytest.fixture
def clock(monkeypatch):
  clock = Clock()
  monkeypatch.setattr(speed, 'time', clock)
  return clock


class Job:
  batch_size = 8

  def __init__(self, batches):
    self.make_batches = lambda first: batches


def test_input_is_measured_after_what_was_made_ahead(clock):
  batches = SlowBatches(clock)
  rate = speed.input_speed(Job(batches), prefetch=3, seconds=10.0)
  assert rate.images_per_second == rate.lowest == rate.highest == 8.0
  assert rate.cores == 0.25
  assert rate.steps == 10  # five rounds of two seconds
  assert batches.asked == 10 + 3 + speed._WARM_UP
  assert batches.closed


def test_slow_batches_are_measured_twice_at_least(clock):
  rate = speed.input_speed(Job(SlowBatches(clock)), prefetch=0, seconds=0.1)
  assert rate.steps == 2


def test_the_median_does_not_see_one_slow_round(clock):
  batches = SlowBatches(clock)
  pauses = itertools.chain([0.0] * (speed._WARM_UP + 4), [60.0])

  def advance():
    clock.now += next(pauses, 0.0)
    return SlowBatches.__next__(batches)

  slow = type('', (SlowBatches,), {'__next__': lambda self: advance()})(clock)
  rate = speed.input_speed(Job(slow), prefetch=0, seconds=100.0)
  assert rate.images_per_second == 8.0
  assert rate.lowest < 8.0


@pytest.mark.parametrize('mode', ['jit', 'pmap'])
def test_step_and_loop_run_as_in_training(mode):
  stepper = speed.Stepper(test_loop._job(mode=make_mode(mode, num_devices=2)))
  step = speed.step_speed(stepper, num_devices=2, seconds=0.01)
  # Eight pictures of 8 x 8 pixels and their labels.
  assert step.batch_bytes == 8 * (8 * 8 * 3 + 4)
  assert step.half is not None
  assert step.first_seconds > 0
  rate = speed.loop_speed(stepper, seconds=0.01)
  assert rate.steps >= 2
  assert rate.wait == 0  # these batches do not count it


def test_half_a_batch_that_does_not_divide_is_left_out():
  stepper = speed.Stepper(test_loop._job())
  step = speed.step_speed(stepper, num_devices=8, seconds=0.01)
  assert step.half is None
