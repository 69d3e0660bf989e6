"""Images per second of the input pipeline, of the step, and of both together.

Everything runs as in `train.loop`: the same batches, the same compiled step,
the same number of steps in flight. Nothing is written.
"""

from collections.abc import Callable
import dataclasses
import statistics
import time
from typing import Any

import jax

from jaxssl.train.loop import (
  Batches,
  Job,
  initial_state,
  on_device_part,
)
from jaxssl.train.monitor import Monitor

# Of each measurement; what is told is their median.
_ROUNDS = 5
_FEWEST = 2  # where a step takes longer than a round should
_WARM_UP = 2
_COPIES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
  """How fast something ran.

  Attributes:
    images_per_second: median of the rounds.
    lowest: lowest rate of the rounds.
    highest: highest rate of the rounds.
    cores: processor seconds of this process per second, all threads together.
    wait: share of the time that was spent waiting for input, 0 to 1.
    steps: how many were measured, warm-up apart.
  """

  images_per_second: float
  lowest: float
  highest: float
  cores: float
  wait: float
  steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSpeed:
  """What was measured of the step alone, on one real batch, used again.

  Attributes:
    rate: rate of the whole batch, its copy to the device included.
    half: rate of half a batch; None where it does not divide among the devices.
    copy_seconds: time to copy one batch to the device, the median in seconds.
    batch_bytes: size in bytes of one batch on this host.
    first_seconds: time of the stepper's first step in seconds, its compilation
      included.
  """

  rate: Rate
  half: Rate | None
  copy_seconds: float
  batch_bytes: int
  first_seconds: float


class Stepper:
  """The compiled step, and the state that goes through it.

  Attributes:
    job: job of the run.
  """

  def __init__(self, job: Job):
    """Initialises the state; the step is compiled when first used."""
    self.job = job
    self._mode = job.mode
    self._compiled = job.mode.compile(job.learner.step)
    self._state = initial_state(job)
    self._steps, self._metrics = 0, None
    self._monitor = Monitor(job.mode.fetch)

  def step(self, batch: Any) -> None:
    """Starts a step, waiting only where too many are in flight."""
    batch = self._mode.put_batch(batch)
    self._state, self._metrics = self._compiled(self._state, batch)
    self._steps += 1
    self._monitor.add(self._steps, self._metrics)

  def finish(self) -> None:
    """Waits for all steps; whether they learn is nobody's concern."""
    jax.block_until_ready((self._state, self._metrics))
    self._monitor = Monitor(self._mode.fetch)


def input_speed(job: Job, *, prefetch: int, seconds: float) -> Rate:
  """Measures the input pipeline alone.

  Args:
    job: job of the run.
    prefetch: batches that the pipeline holds ready.
    seconds: to measure for, warm-up apart.
  """
  batches = job.make_batches(0)
  try:
    # What was made ahead while nobody asked is no measure of speed.
    for _ in range(_WARM_UP + prefetch):
      next(batches)
    return _measure(lambda: next(batches), rows=job.batch_size, seconds=seconds)
  finally:
    batches.close()


def step_speed(
  stepper: Stepper, *, num_devices: int, seconds: float
) -> StepSpeed:
  """Measures the step alone, on the first batch of the run.

  Args:
    stepper: takes the steps.
    num_devices: that the rows are spread over.
    seconds: to measure for, each of two batch sizes.
  """
  job = stepper.job
  batches = job.make_batches(0)
  try:
    batch = on_device_part(next(batches))
  finally:
    batches.close()
  start = time.perf_counter()
  stepper.step(batch)
  stepper.finish()
  first_seconds = time.perf_counter() - start
  rate = _step_rate(stepper, batch, job.batch_size, seconds)
  half, rows = None, job.batch_size // 2
  if job.batch_size % (2 * num_devices * job.learner.micro_batches) == 0:
    part = jax.tree.map(lambda x: x[: len(x) // 2], batch)
    half = _step_rate(stepper, part, rows, seconds)
  return StepSpeed(
    rate=rate,
    half=half,
    copy_seconds=_copy_seconds(job, batch),
    batch_bytes=sum(x.nbytes for x in jax.tree.leaves(batch)),
    first_seconds=first_seconds,
  )


def loop_speed(stepper: Stepper, *, seconds: float) -> Rate:
  """Measures input and step together, as the loop runs."""
  job = stepper.job
  batches = job.make_batches(0)

  def advance() -> None:
    stepper.step(on_device_part(next(batches)))

  try:
    for _ in range(_WARM_UP):
      advance()
    stepper.finish()
    return _measure(
      advance,
      stepper.finish,
      rows=job.batch_size,
      seconds=seconds,
      batches=batches,
    )
  finally:
    batches.close()


def _step_rate(stepper: Stepper, batch: Any, rows: int, seconds: float) -> Rate:
  for _ in range(_WARM_UP):
    stepper.step(batch)
  stepper.finish()
  return _measure(
    lambda: stepper.step(batch), stepper.finish, rows=rows, seconds=seconds
  )


def _measure(
  advance: Callable[[], object],
  finish: Callable[[], None] = lambda: None,
  *,
  rows: int,
  seconds: float,
  batches: Batches | None = None,
) -> Rate:
  """Advances for some time, in rounds of at least one step."""
  rates, steps = [], 0
  waited = batches.wait_seconds if batches else 0.0
  start, busy = time.perf_counter(), time.process_time()
  while len(rates) < _FEWEST or (
    len(rates) < _ROUNDS and time.perf_counter() - start < seconds
  ):
    begin, count = time.perf_counter(), 0
    while not count or time.perf_counter() - begin < seconds / _ROUNDS:
      advance()
      count += 1
    finish()
    rates.append(rows * count / (time.perf_counter() - begin))
    steps += count
  took = time.perf_counter() - start
  return Rate(
    images_per_second=statistics.median(rates),
    lowest=min(rates),
    highest=max(rates),
    cores=(time.process_time() - busy) / took,
    wait=(batches.wait_seconds - waited) / took if batches else 0.0,
    steps=steps,
  )


def _copy_seconds(job: Job, batch: Any) -> float:
  times = []
  for _ in range(_COPIES):
    start = time.perf_counter()
    jax.block_until_ready(job.mode.put_batch(batch))
    times.append(time.perf_counter() - start)
  return statistics.median(times)
