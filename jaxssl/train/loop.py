"""The one training loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import logging
from typing import Any, Protocol

import jax
import numpy as np

from jaxssl.errors import UserError
from jaxssl.methods.base import Batch, PyTree
from jaxssl.ops.schedules import Schedule
from jaxssl.parallel import processes
from jaxssl.parallel.modes import CompiledStep, Mode, to_host
from jaxssl.train import memory
from jaxssl.train.checkpoint import Checkpoints, Restored
from jaxssl.train.learner import Learner
from jaxssl.train.monitor import DivergedError, Monitor
from jaxssl.train.preemption import StoppedError, StopRequest
from jaxssl.train.progress import Progress, Throughput, in_words
from jaxssl.train.state import TrainState
from jaxssl.train.writers import Writer

_log = logging.getLogger(__name__)
# After so many steps, the first of which was compiled, time and memory are
# known; of a run of few more steps nobody needs to be told.
_TRIAL_STEPS, _LONG_STEPS = 3, 20


class Batches(Protocol):
  """The input pipeline, from some step on."""

  @property
  def wait_seconds(self) -> float:
    """How long `next` has waited in all."""
    ...

  @property
  def bad(self) -> int:
    """How many unreadable records were replaced."""
    ...

  def __iter__(self) -> Iterator[Batch]:
    """Returns itself."""
    ...

  def __next__(self) -> Batch:
    """Returns this process's rows of the next step's batch, NumPy."""
    ...

  def close(self) -> None:
    """Stops its threads."""
    ...


class Guard(Protocol):
  """What an evaluation can say about the run."""

  def begin(self, first_step: int) -> str | None:
    """Takes up what it knew at a step; returns why the run has ended, if so."""
    ...

  def verdict(self) -> str | None:
    """Returns why the run ends after the newest evaluation, if it does."""
    ...


Evaluate = Callable[[Mapping[str, PyTree], int], dict[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """All that the loop needs; it never sees a config.

  Attributes:
    learner: what is trained, and how.
    mode: compile mode.
    make_batches: first step -> input pipeline from there on.
    shapes: shapes of a batch as the device sees it; the number of rows does
      not matter.
    seed: seed of the run; with the step it fixes every random number.
    num_steps: steps of the whole run.
    batch_size: images in the global batch.
    log_steps: metrics are written every so many steps.
    checkpoint_steps: the state is saved every so many steps, and at the end.
    eval_steps: `evaluate` runs every so many steps, and at both ends.
    evaluate: (exported towers, step) -> scalars, or None.
    guard: has a say after each evaluation, or None.
    learning_rate: schedule whose values are logged, or None.
    meta: kept with each checkpoint, with the seed. It identifies the run: its
      `data` (and `config`, where there is one) must not change. A change of
      `files` is told.
    load_towers: returns trained variables that step 0 starts from
      (`methods.trained_start`), or None; a run that goes on needs them no more.
    steps_per_epoch: steps of an epoch, by which epochs are shown, or None.
  """

  learner: Learner
  mode: Mode
  make_batches: Callable[[int], Batches]
  shapes: Batch
  seed: int
  num_steps: int
  batch_size: int
  log_steps: int
  checkpoint_steps: int
  eval_steps: int
  evaluate: Evaluate | None
  guard: Guard | None = None
  learning_rate: Schedule | None
  meta: Mapping[str, Any]
  load_towers: Callable[[], Mapping[str, PyTree] | None] = lambda: None
  steps_per_epoch: float | None = None


class Preempted(Exception):
  """The run was asked to stop; its state is saved.

  Attributes:
    step: number of finished steps.
  """

  def __init__(
    self,
    step: int,
    signal: str | None,
    *,
    began: bool = True,
    is_last: bool = False,
  ):
    """Names the step and the signal.

    Args:
      step: number of finished steps.
      signal: its name; None if another process got it.
      began: whether there was a step to save since the start of the command.
      is_last: whether no step is left.
    """
    if is_last:
      what = f'stopped; all {step} steps are done and saved'
    elif began:
      what = f'stopped after saving step {step}'
    else:
      what = f'stopped before step {step + 1}; nothing was lost'
    super().__init__(f'{signal or "another process"}: {what}')
    self.step = step


class Guarded(Exception):
  """The guard has ended the run; its state is saved.

  Attributes:
    step: number of finished steps.
  """

  def __init__(self, step: int, reason: str):
    """Names the step and says why."""
    super().__init__(reason)
    self.step = step


def train(
  job: Job,
  *,
  checkpoints: Checkpoints,
  make_writers: Callable[[int], Sequence[Writer]],
) -> TrainState:
  """Trains from the newest readable checkpoint, or from the start, to the end.

  Args:
    job: what to do.
    checkpoints: where the state is kept.
    make_writers: first step -> where metrics go.

  Returns:
    The state after the last step, in the form of `Mode.get_state`.

  Raises:
    Preempted: if SIGTERM or Ctrl-C came; after saving, if there was a step.
    Guarded: after saving, if the guard ends the run, or has ended it before.
    DivergedError: if the loss is not finite any more; the last checkpoint is
      of a step before that.
    CheckpointError: if a checkpoint cannot be written or read.
  """
  with StopRequest() as stop:
    try:
      state, first_step = stop.hear(lambda: start(job, checkpoints))
    except StoppedError as error:
      newest = max(checkpoints.steps(), default=0)
      raise Preempted(
        newest,
        stop.requested,
        began=False,
        is_last=newest == job.num_steps,
      ) from error
    if job.guard and (reason := job.guard.begin(first_step)):
      raise Guarded(first_step, reason)
    batches = job.make_batches(first_step)
    writers = make_writers(first_step)
    progress = Progress(job.num_steps, steps_per_epoch=job.steps_per_epoch)
    runner = _Runner(job, checkpoints, batches, writers, progress, stop)
    try:
      return runner.run(state, first_step)
    finally:
      progress.close()
      batches.close()
      for writer in writers:
        writer.close()


def initial_state(job: Job) -> TrainState:
  """Returns the state of step 0, placed on the devices."""
  key = jax.random.key(job.seed)
  return job.mode.init(job.learner.init, key, _example(job), job.load_towers())


def start(job: Job, checkpoints: Checkpoints) -> tuple[TrainState, int]:
  """Returns the state to go on from, placed on the devices, and its step."""
  restored = checkpoints.restore_newest_readable(
    job.mode.target(job.learner.abstract(job.shapes))
  )
  if restored is None:
    return initial_state(job), 0
  _check_same_run(job, restored)
  _log.info('resuming from step %d of %s', restored.step, checkpoints.directory)
  return job.mode.put_state(restored.state), restored.step


def _example(job: Job) -> Batch:
  """Returns two black images, of which only the shapes matter.

  The same on every host, so that all initialise alike.
  """
  return jax.tree.map(
    lambda x: np.zeros((2, *x.shape[1:]), x.dtype), job.shapes
  )


def on_device_part(batch: Batch) -> Batch:
  """Leaves out what only the host needs (record numbers)."""
  return {name: value for name, value in batch.items() if name != 'index'}


@dataclasses.dataclass(frozen=True)
class _Runner:
  """What `train` needs at every step."""

  job: Job
  checkpoints: Checkpoints
  batches: Batches
  writers: Sequence[Writer]
  progress: Progress
  stop: StopRequest

  def run(self, state: TrainState, first_step: int) -> TrainState:
    job, mode, stop = self.job, self.job.mode, self.stop
    compiled_step = mode.compile(job.learner.step)
    monitor, clock = Monitor(mode.fetch), Throughput(job.batch_size)
    if processes.any_process(stop.requested is not None):
      # What there is to save is saved.
      raise Preempted(
        first_step,
        stop.requested,
        began=False,
        is_last=first_step == job.num_steps,
      )
    for step in range(first_step + 1, job.num_steps + 1):
      if step == first_step + 1:
        state, metrics = self._first_step(step, compiled_step, state)
        clock.restart(self.batches.wait_seconds)
      else:
        batch = self._next_batch(step, state, monitor)
        state, metrics = compiled_step(state, batch)
        clock.step()
      monitor.add(step, metrics)
      if step == first_step + _TRIAL_STEPS:
        # Or the clock would have timed how steps are dispatched.
        jax.block_until_ready(metrics)
        self._tell_outlook(step, clock)
      last = step == job.num_steps
      if last or step % job.log_steps == 0:
        self._log(step, self._flush(monitor), clock)
      if last or step % job.eval_steps == 0:
        # A run that has diverged ends here, before features are looked at.
        self._flush(monitor)
        self._say_of_end(last, job.evaluate, 'looking at the features')
        self._evaluate(step, state)
        # An evaluation is no part of the speed.
        clock.restart(self.batches.wait_seconds)
      asked = self._is_asked(step, stop)
      reason = job.guard.verdict() if job.guard else None
      # Saved first, whatever ends the run.
      ends = last or asked or reason is not None
      if ends or step % job.checkpoint_steps == 0:
        self._say_of_end(ends, True, f'saving step {step}')
        self._save(step, state, monitor)
      if reason is not None:
        self.checkpoints.wait()
        raise Guarded(step, reason)
      if asked and not last:
        self.checkpoints.wait()
        raise Preempted(step, stop.requested)
    self.checkpoints.wait()
    return mode.get_state(state)

  def _first_step(
    self, step: int, compiled_step: CompiledStep, state: TrainState
  ) -> tuple[TrainState, Any]:
    """Makes a step and all that comes before it, which may take minutes.

    Raises:
      Preempted: as soon as a stop is asked; there is nothing to save.
    """
    hear = self.stop.hear
    try:
      if step == 1:
        hear(lambda: self._evaluate(0, state))
      self.progress.say('making the first batch ...')
      batch = hear(self._make_batch)
      self.progress.say('compiling the step (seconds to minutes) ...')
      return hear(lambda: self._compiled(compiled_step, state, batch))
    except StoppedError as error:
      raise Preempted(step - 1, self.stop.requested, began=False) from error

  def _compiled(
    self, compiled_step: CompiledStep, state: TrainState, batch: Batch
  ) -> tuple[TrainState, Any]:
    """Compiles a step, looks whether memory suffices, and makes it."""
    rows = self.job.batch_size
    with memory.told(rows):
      found = compiled_step.lower(state, batch).compile().memory_analysis()
      memory.check_step(found, rows)
      # Waited for, as compilation is no part of the speed. What was compiled is
      # not compiled again.
      return jax.block_until_ready(compiled_step(state, batch))

  def _next_batch(
    self, step: int, state: TrainState, monitor: Monitor
  ) -> Batch:
    """Returns the batch of a step.

    Raises:
      Preempted: if a stop is asked and the batch does not come; the steps
        before it are saved.
    """
    if jax.process_count() > 1:  # they ask each other between steps
      return self._make_batch()
    try:
      return self.stop.hear(self._make_batch)
    except StoppedError as error:
      self._save(step - 1, state, monitor)
      self.checkpoints.wait()
      raise Preempted(step - 1, self.stop.requested) from error

  def _make_batch(self) -> Batch:
    return self.job.mode.put_batch(on_device_part(next(self.batches)))

  def _say_of_end(self, at_end: bool, is_done: object, text: str) -> None:
    """Says what the run still does when its steps are behind it."""
    if at_end and is_done:
      self.progress.say(f'{text} ...')

  def _tell_outlook(self, step: int, clock: Throughput) -> None:
    """Says how long the rest takes and how much memory, if it is long."""
    left = self.job.num_steps - step
    if left < _LONG_STEPS:
      return
    peak, of = memory.peak_bytes()
    seconds = clock.seconds_per_step
    _log.info(
      'about %s for %d more steps (%.2g s each, without evaluations); memory '
      '%s: %.1f GiB',
      in_words(left * seconds),
      left,
      seconds,
      of,
      peak / 2**30,
    )

  def _is_asked(self, step: int, stop: StopRequest) -> bool:
    """Whether to stop now; the same answer in all processes."""
    if jax.process_count() == 1:
      return stop.requested is not None
    # Asking the others waits for the device, so only where the loop does.
    if step % self.job.log_steps:
      return False
    return processes.any_process(stop.requested is not None)

  def _flush(self, monitor: Monitor) -> dict[str, float]:
    try:
      return monitor.flush()
    except DivergedError as error:
      self.checkpoints.wait()
      steps = self.checkpoints.steps()
      kept = f'step {steps[-1]}' if steps else 'none'
      raise DivergedError(f'{error} (last good checkpoint: {kept})') from error

  def _log(
    self, step: int, metrics: dict[str, float], clock: Throughput
  ) -> None:
    job = self.job
    rates = clock.read(job.num_steps - step, self.batches.wait_seconds)
    scalars = {
      **metrics,
      'bad_records': float(self.batches.bad),
      **rates,
    }
    if self._learning_rate is not None:
      # A step sees the number of those that are finished.
      scalars['learning_rate'] = float(self._learning_rate(step - 1))
    self._write(step, scalars)

  @functools.cached_property
  def _learning_rate(self) -> Schedule | None:
    # One program; by itself each operation would be one.
    return self.job.learning_rate and jax.jit(self.job.learning_rate)

  def _evaluate(self, step: int, state: TrainState) -> None:
    if self.job.evaluate is None:
      return
    # One copy, whatever the mode, as an export has it.
    state = self.job.mode.get_state(state)
    method = self.job.learner.method
    towers = method.export(state.params, state.method_state)
    # Each process evaluates all, on devices and a copy of its own.
    self._write(step, self.job.evaluate(to_host(towers), step))

  def _write(self, step: int, scalars: dict[str, float]) -> None:
    for writer in self.writers:
      writer.write(step, scalars)
    self.progress.show(step, scalars)

  def _save(self, step: int, state: TrainState, monitor: Monitor) -> None:
    # A checkpoint is only ever of a state whose losses were finite.
    self._flush(monitor)
    # Metrics before the state: lines that are too many are removed when the run
    # goes on, lines that are missing are not written again.
    for writer in self.writers:
      writer.sync()
    self.checkpoints.save(
      step,
      self.job.mode.get_state(state),
      {'step': step, **_identity(self.job)},
    )


def _identity(job: Job) -> dict[str, Any]:
  """Returns what two processes have in common that train the same run."""
  return {'seed': job.seed, **job.meta}


def _check_same_run(job: Job, restored: Restored) -> None:
  now = _identity(job)
  if not restored.proved:
    # An earlier version: it made the hash of the data otherwise.
    if restored.meta.get('data') != now['data']:
      _log.warning(
        'whether the data are those of step %d cannot be told: an earlier '
        'version has saved it',
        restored.step,
      )
    return
  for name in sorted(now.keys() - {'files'}):
    was = restored.meta.get(name)
    if was == now[name]:
      continue
    if name == 'data':
      raise UserError(
        f'the data of this run has changed since step {restored.step} '
        f'(fingerprint {was} -> {now[name]}); restore the data, or start a new '
        'workdir'
      )
    raise UserError(
      f'the checkpoint of step {restored.step} is of a run with another {name} '
      f'({was} -> {now[name]}); give the {name} of that run, or start a new '
      'workdir'
    )
  if restored.meta.get('files') != now.get('files'):
    _log.warning(
      'files of the data were written again since step %d (copied?); their '
      'names and sizes, and the content of a sample, are the same',
      restored.step,
    )
