"""One line about how far a run is: live on a terminal, plain otherwise."""

from collections.abc import Callable, Mapping
import logging
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

_log = logging.getLogger(__name__)


class Progress:
  """Shows step, loss, images/s, time left and the share of input waiting."""

  def __init__(self, num_steps: int, *, console: Console | None = None):
    """Starts showing.

    Args:
      num_steps: of the whole run.
      console: standard output by default.
    """
    self._num_steps = num_steps
    console = console or Console()
    self._live = (
      Live(console=console, auto_refresh=False) if console.is_terminal else None
    )
    if self._live:
      self._live.start()

  def show(self, step: int, scalars: Mapping[str, float]) -> None:
    """Shows the scalars of a step."""
    line = progress_line(step, self._num_steps, scalars)
    if self._live:
      self._on_terminal(lambda live: live.update(Text(line), refresh=True))
    else:
      _log.info('%s', line)

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


def progress_line(
  step: int, num_steps: int, scalars: Mapping[str, float]
) -> str:
  """Returns the text of one progress line.

  Args:
    step: finished steps.
    num_steps: of the whole run.
    scalars: what is known; `loss`, `images_per_second`, `seconds_left`,
      `input_wait` (0 to 1) and metrics with `knn` in their name are shown.
  """
  parts = [f'step {step}/{num_steps}']
  if 'loss' in scalars:
    parts.append(f'loss {scalars["loss"]:.4f}')
  parts += [
    f'{name} {value:.1%}' for name, value in scalars.items() if 'knn' in name
  ]
  if 'images_per_second' in scalars:
    parts.append(f'{scalars["images_per_second"]:.1f} images/s')
  if 'seconds_left' in scalars:
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


class Throughput:
  """Images a second and the share of time spent waiting for input."""

  def __init__(self, batch_size: int):
    """Starts the clock.

    Args:
      batch_size: images a step.
    """
    self._batch_size = batch_size
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

  def read(self, steps_left: int, wait_seconds: float) -> dict[str, float]:
    """Returns the rates since the last `read` or `restart`, and starts anew.

    Args:
      steps_left: how many steps are still to go.
      wait_seconds: what the pipeline has waited in all until now.
    """
    seconds = max(time.perf_counter() - self._start, 1e-9)
    rate = self._steps / seconds
    scalars = {
      'images_per_second': rate * self._batch_size,
      'seconds_left': steps_left / rate if rate else 0.0,
      'input_wait': min((wait_seconds - self._waited) / seconds, 1.0),
    }
    self.restart(wait_seconds)
    return scalars
