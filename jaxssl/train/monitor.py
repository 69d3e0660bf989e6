"""Metrics on their way from the device, and whether they are still numbers."""

from collections.abc import Callable, Mapping
import math
from typing import Any

import jax

from jaxssl.errors import UserError

Metrics = dict[str, float]

# A step is dispatched while at most so many before it are unfinished: enough
# to keep the device busy, few enough that batches do not pile up there.
_IN_FLIGHT = 2


class DivergedError(UserError):
  """The loss or the gradient is not a finite number any more."""


class Monitor:
  """Holds the metrics of the last steps on the device until they are read.

  Reading a value waits for the device. So metrics of single steps are kept as
  device arrays, and fetched together when the loop asks for them.
  """

  def __init__(self, fetch: Callable[[Any], Any]):
    """Starts empty.

    Args:
      fetch: `Mode.fetch`, device values to NumPy.
    """
    self._fetch = fetch
    self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []

  def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Keeps the metrics of a step; waits only if too many are in flight."""
    self._pending.append((step, metrics))
    if len(self._pending) > _IN_FLIGHT:
      jax.block_until_ready(self._pending[-1 - _IN_FLIGHT][1])

  def flush(self) -> Metrics:
    """Fetches all pending metrics and returns those of the last step.

    Raises:
      DivergedError: if a loss or gradient norm was not finite; names the first
        step and the first metric that went bad.
    """
    steps = [step for step, _ in self._pending]
    fetched = self._fetch([metrics for _, metrics in self._pending])
    self._pending = []
    history = [
      {name: float(value) for name, value in metrics.items()}
      for metrics in fetched
    ]
    _check_finite(steps, history)
    return history[-1] if history else {}


def _check_finite(steps: list[int], history: list[Metrics]) -> None:
  stops = any(
    not math.isfinite(metrics[name])
    for metrics in history
    for name in ('loss', 'grad_norm')
  )
  if not stops:
    return
  for step, metrics in zip(steps, history, strict=True):
    # The loss is the last link of the chain, so it is named last.
    names = sorted(metrics, key=lambda n: (n == 'loss', n == 'grad_norm'))
    for name in names:
      if not math.isfinite(metrics[name]):
        raise DivergedError(
          f'training has diverged: {name} is {metrics[name]} at step {step}; '
          'try a lower learning rate, a longer warm-up or gradient clipping'
        )
