"""One line about how far a run is: live on a terminal, plain otherwise."""

from collections.abc import Callable, Mapping
import logging
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

_log = logging.getLogger(__name__)
# Of the newest seconds per step in the moving mean that tells the time left.
_WEIGHT = 0.3


class Progress:
  """Shows how far a run is, its loss and its last evaluation.

  On a terminal one line is drawn again and again; the log has a copy of each,
  marked `shown`, which a handler for the same terminal passes over.
  """

  def __init__(
    self,
    num_steps: int,
    *,
    steps_per_epoch: float | None = None,
    console: Console | None = None,
  ):
    """Starts showing.

    Args:
      num_steps: number of steps of the whole run.
      steps_per_epoch: steps of an epoch; None leaves epochs out of the line.
      console: standard output by default.
    """
    self._num_steps, self._steps_per_epoch = num_steps, steps_per_epoch
    self._evaluated: dict[str, float] = {}
    console = console or Console()
    self._live = (
      Live(console=console, auto_refresh=False) if console.is_terminal else None
    )
    if self._live:
      self._live.start()

  def show(self, step: int, scalars: Mapping[str, float]) -> None:
    """Shows the scalars of a step."""
    # What an evaluation found stays in the line until the next one.
    self._evaluated |= {k: v for k, v in scalars.items() if _is_evaluated(k)}
    self.say(
      progress_line(
        step,
        self._num_steps,
        {**self._evaluated, **scalars},
        steps_per_epoch=self._steps_per_epoch,
      )
    )

  def say(self, text: str) -> None:
    """Shows a text until the next line: what takes time just now."""
    _log.info('%s', text, extra={'shown': self._live is not None})
    self._on_terminal(lambda live: live.update(Text(text), refresh=True))

  def close(self) -> None:
    """Leaves the last line in place."""
    self._on_terminal(lambda live: live.stop())

  def _on_terminal(self, draw: Callable[[Live], None]) -> None:
    if self._live is None:
      return
    try:
      draw(self._live)
    except OSError:  # it was closed; the run goes on, or saves and stops
      self._live = None


def _is_evaluated(name: str) -> bool:
  return 'knn' in name or name == 'effective_rank'


def progress_line(
  step: int,
  num_steps: int,
  scalars: Mapping[str, float],
  *,
  steps_per_epoch: float | None = None,
) -> str:
  """Returns the text of one progress line.

  Args:
    step: finished steps.
    num_steps: number of steps of the whole run.
    scalars: what is known; `loss`, `learning_rate`, `effective_rank`,
      `images_per_second`, `seconds_left`, `input_wait` (0 to 1) and metrics
      with `knn` in their name are shown.
    steps_per_epoch: steps of an epoch; None leaves epochs out.
  """
  parts = [f'step {step}/{num_steps}']
  if steps_per_epoch:
    parts.append(f'epoch {step / steps_per_epoch:.1f}')
  if 'loss' in scalars:
    parts.append(f'loss {scalars["loss"]:.4f}')
  if 'learning_rate' in scalars:
    parts.append(f'rate {scalars["learning_rate"]:.2g}')
  parts += [
    f'{name} {value:.1%}' for name, value in scalars.items() if 'knn' in name
  ]
  if 'effective_rank' in scalars:
    parts.append(f'effective rank {scalars["effective_rank"]:.1f}')
  # Of the first step, which was compiled, there is no rate.
  rate = scalars.get('images_per_second')
  if rate:
    parts.append(f'{rate:.1f} images/s')
  if rate and 'seconds_left' in scalars:
    parts.append(f'{duration(scalars["seconds_left"])} left')
  if 'input_wait' in scalars:
    parts.append(f'input wait {scalars["input_wait"]:.0%}')
  return '  '.join(parts)


def duration(seconds: float) -> str:
  """Returns for example `1:02:03` or `4:05`."""
  minutes, second = divmod(round(seconds), 60)
  hours, minute = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minute:02d}:{second:02d}'
  return f'{minute}:{second:02d}'


def in_words(seconds: float) -> str:
  """Returns for example `40 seconds`, `12 minutes` or `3.5 hours`."""
  if seconds < 90:
    return f'{seconds:.0f} seconds'
  minutes = seconds / 60
  return (
    f'{minutes:.0f} minutes' if minutes < 90 else f'{minutes / 60:.1f} hours'
  )


class Throughput:
  """Images per second and the share of time spent waiting for input."""

  def __init__(self, batch_size: int):
    """Starts the clock.

    Args:
      batch_size: images per step.
    """
    self._batch_size = batch_size
    self._smooth: float | None = None
    self.restart()

  def restart(self, wait_seconds: float = 0.0) -> None:
    """Forgets the past, for example after an evaluation.

    Args:
      wait_seconds: what the pipeline has waited in all until now.
    """
    self._start, self._steps = time.perf_counter(), 0
    self._waited = wait_seconds

  def step(self) -> None:
    """Counts a step."""
    self._steps += 1

  @property
  def seconds_per_step(self) -> float:
    """Seconds of a step, the mean since the last `read` or `restart`."""
    return (time.perf_counter() - self._start) / max(self._steps, 1)

  def read(self, steps_left: int, wait_seconds: float) -> dict[str, float]:
    """Returns the rates since the last `read` or `restart`, and starts anew.

    The time left follows a moving mean of the seconds per step.

    Args:
      steps_left: how many steps are still to go.
      wait_seconds: what the pipeline has waited in all until now.
    """
    seconds = max(time.perf_counter() - self._start, 1e-9)
    rate = self._steps / seconds
    if rate:
      old = 1 / rate if self._smooth is None else self._smooth
      # Of seconds per step, not of rates: those add up to the time left.
      self._smooth = old + _WEIGHT * (1 / rate - old)
    scalars = {
      'images_per_second': rate * self._batch_size,
      'seconds_left': steps_left * (self._smooth or 0.0),
      'input_wait': min((wait_seconds - self._waited) / seconds, 1.0),
    }
    self.restart(wait_seconds)
    return scalars
