"""Signals that ask a run to stop."""

import signal
from types import FrameType


class StopRequest:
  """Context in which SIGTERM and Ctrl-C ask for a stop instead of killing.

  The loop looks at `requested` between steps, saves, and leaves. A second
  signal has its usual effect, for who does not want to wait.
  """

  def __init__(self) -> None:
    """Starts without a request."""
    self.requested: str | None = None
    self._previous: dict[signal.Signals, object] = {}

  def __enter__(self) -> 'StopRequest':
    """Installs the handlers."""
    for number in (signal.SIGTERM, signal.SIGINT):
      self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    """Puts the previous handlers back."""
    self._restore()

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del frame
    self.requested = signal.Signals(number).name
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous.clear()
