"""Schedules: functions from the step to a value, traceable.

Step k counts finished optimizer steps, so the first update sees k = 0.
"""

from collections.abc import Callable, Sequence
import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
import numpy as np

from jaxssl.errors import UserError, unknown
from jaxssl.fields import Fraction

Schedule = Callable[[ArrayLike], jax.Array | float]
Convention = Literal['step', 'linspace', 'epoch']


def constant(*, start: float) -> Schedule:
  """Returns k -> start.

  Args:
    start: the value at every step.
  """
  return lambda step: jnp.full((), start, jnp.float32)


def cosine(
  *,
  start: float,
  end: float = 0.0,
  num_steps: int,
  warmup_steps: int = 0,
  warmup_start: float = 0.0,
  convention: Convention = 'step',
  steps_per_epoch: float = 1,
) -> Schedule:
  """Half a cosine from `start` to `end` after a linear warm-up.

  With W warm-up steps of T steps in all:

    k < W:  warmup_start + (start - warmup_start) * k / W
    k >= W: end + (start - end)/2 * (1 + cos(pi * (k - W) / (T - W)))

  It serves learning rates, weight decay and, with end > start, momentum
  (BYOL's 1 - (1 - m0) (1 + cos(pi k/T))/2).

  Args:
    start: value at the end of the warm-up.
    end: value that is reached at k = T, one step after the last.
    num_steps: T.
    warmup_steps: W < T.
    warmup_start: value at k = 0 if W > 0.
    convention: `'step'` is the formula above, as in BYOL, MoCo v3 and MAE.
      `'linspace'` is DINO's and SwAV's: the warm-up includes both ends
      (k / (W - 1)), so step W - 1 and step W both see `start`. `'epoch'` is
      MoCo v2's and SimSiam's: the value of 'step' at the start of the epoch,
      constant inside it.
    steps_per_epoch: steps of an epoch, at least 1, used by `'epoch'` only; of
      a fraction, epoch e starts with the first step at or after e times it.

  Raises:
    UserError: unknown convention, or a warm-up that is not shorter than T.
  """
  if convention not in get_args(Convention):
    raise unknown('convention of a cosine', convention, get_args(Convention))
  if not 0 <= warmup_steps < num_steps:
    raise UserError(
      f'warmup_steps must be in [0, num_steps), got {warmup_steps} of '
      f'{num_steps}'
    )
  # W values with both ends among them have W - 1 steps between them.
  ramp = warmup_steps - 1 if convention == 'linspace' else warmup_steps

  def schedule(step: ArrayLike) -> jax.Array:
    step = jnp.asarray(step, jnp.float32)
    if convention == 'epoch':
      # A rounded number of steps would drift against the epochs of the data.
      epoch = jnp.floor(step / steps_per_epoch)
      # Compilers multiply by the rounded reciprocal, and the first step of an
      # epoch may come out just below it.
      epoch += (epoch + 1) * steps_per_epoch <= step
      step = epoch * steps_per_epoch
    # Computed at every step, also where there is no warm-up to divide by.
    warm = warmup_start + (start - warmup_start) * step / max(ramp, 1)
    done = (step - warmup_steps) / (num_steps - warmup_steps)
    # Past T the value stays at `end` instead of coming back up the cosine.
    angle = math.pi * jnp.clip(done, 0.0, 1.0)
    decay = end + (start - end) * 0.5 * (1.0 + jnp.cos(angle))
    return jnp.where(step < warmup_steps, warm, decay)

  return schedule


def linear(*, start: float, end: float, num_steps: int) -> Schedule:
  """Returns k -> start + (end - start) * min(k / T, 1).

  Args:
    start: value at k = 0.
    end: value at k = T, one step after the last.
    num_steps: T.
  """

  def schedule(step: ArrayLike) -> jax.Array:
    done = jnp.minimum(jnp.asarray(step, jnp.float32) / num_steps, 1.0)
    return start + (end - start) * done

  return schedule


def piecewise(
  *, start: float, factor: float, boundary_steps: Sequence[int]
) -> Schedule:
  """Returns k -> start * factor ** (number of boundaries <= k).

  MoCo v1: factor 0.1 at epochs 120 and 160; its linear probe at 60 and 80.

  Args:
    start: value before the first boundary.
    factor: what the value is multiplied by at each boundary.
    boundary_steps: the boundaries, numbers of steps.
  """
  boundaries = jnp.asarray(boundary_steps)

  def schedule(step: ArrayLike) -> jax.Array:
    passed = jnp.sum(boundaries <= step)
    return start * factor ** passed.astype(jnp.float32)

  return schedule


def switch(
  *, start: float, end: float, at: Fraction, num_steps: int
) -> Schedule:
  """Returns k -> start before a share of the run, and `end` from there on.

  SigLIP 2 has more losses once 80 % of the steps are done.

  Args:
    start: value at first.
    end: value from step `at` T on, rounded up.
    at: share of the steps.
    num_steps: T.
  """
  # Not of 0.1 * 30, which is above 3.
  first = math.ceil(round(at * num_steps, 6))
  return lambda step: jnp.where(jnp.asarray(step) < first, start, end)


def value_at(value: Schedule | float, step: ArrayLike) -> jax.Array | float:
  """Returns the value of a schedule at this step, or the number itself."""
  return value(step) if callable(value) else value


SCHEDULES = {
  'constant': constant,
  'cosine': cosine,
  'linear': linear,
  'piecewise': piecewise,
  'switch': switch,
}


def highest(schedule: Schedule, num_steps: int) -> float:
  """Returns the largest value of a schedule.

  Args:
    schedule: step -> value.
    num_steps: steps 0 to `num_steps - 1` are looked at, at least one.
  """
  # One program: each operation by itself would be compiled by itself.
  values = jax.jit(jax.vmap(schedule))(np.arange(num_steps))
  return float(np.max(values))
