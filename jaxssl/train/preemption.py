"""Signals that ask a run to stop."""

import signal
from types import FrameType
from typing import Any


def stopping() -> list[signal.Signals]:
  """Returns the signals that ask a program to end.

  SIGHUP comes when the terminal or the connection closes. Under `nohup` it is
  ignored, and stays so.
  """
  signals = [signal.SIGTERM, signal.SIGINT]
  if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
    signals.append(signal.SIGHUP)
  return signals


class StopRequest:
  """Context in which SIGTERM, SIGHUP and Ctrl-C ask for a stop.

  The loop looks at `requested` between steps, saves, and leaves. A second
  signal has its usual effect, for who does not want to wait; but not a second
  SIGHUP, as shell and kernel may both send one when a terminal closes.
  """

  def __init__(self) -> None:
    """Starts without a request."""
    self.requested: str | None = None
    self._previous: dict[signal.Signals, Any] = {}

  def __enter__(self) -> 'StopRequest':
    """Installs the handlers."""
    for number in stopping():
      self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    """Puts the previous handlers back."""
    self._restore()

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del frame
    self.requested = signal.Signals(number).name
    if number != signal.SIGHUP:
      self._restore()

  def _restore(self) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous.clear()
