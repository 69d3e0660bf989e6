"""Signals that ask a run to stop."""

from collections.abc import Callable
from concurrent.futures import Future
import queue
import signal
import threading
from types import FrameType
from typing import Any, TypeVar

# Seconds. What is nearly done when a stop is asked is waited for; and the main
# thread looks so often whether one is, as a system may give a signal to any
# thread.
_GRACE, _LOOK = 2.0, 0.2
# What was left undone, and may go on until the process ends.
_left: list[Future[Any]] = []
_T = TypeVar('_T')


class StoppedError(Exception):
  """A stop was asked while something was done, which is left undone."""


def is_work_left() -> bool:
  """Whether a thread still does what a stop has left.

  It may be anywhere in a library, which does not expect the end of Python
  there: such a process is to be left by `os._exit`.
  """
  return any(not work.done() for work in _left)


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

  The loop looks at `requested` between steps, saves, and leaves; what may take
  minutes before that it does through `hear`. A second signal has its usual
  effect, for who does not want to wait; but not a second SIGHUP, as shell and
  kernel may both send one when a terminal closes.
  """

  def __init__(self) -> None:
    """Starts without a request."""
    self.requested: str | None = None
    self._previous: dict[signal.Signals, Any] = {}
    self._worker: _Worker | None = None

  def __enter__(self) -> 'StopRequest':
    """Installs the handlers."""
    for number in stopping():
      self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    """Puts the previous handlers back."""
    self._restore()
    if self._worker is not None:
      self._worker.close()

  def hear(self, work: Callable[[], _T]) -> _T:
    """Does something in a thread, and hears a stop meanwhile.

    Python acts on a signal between two steps of the main thread only, which a
    library may keep for minutes: to compile, or to wait for a batch. Here the
    main thread waits in a way that signals end.

    Args:
      work: what to do; it must not matter whether it is left undone.

    Returns:
      What `work` returns.

    Raises:
      StoppedError: if a stop was asked, and `work` has not ended by itself in
        two more seconds. It may go on; see `is_work_left`.
      Exception: what `work` raises.
    """
    if self.requested is not None:
      raise StoppedError(self.requested)
    self._worker = self._worker or _Worker()
    done = self._worker.submit(work)
    try:
      while not self._worker.wait(_LOOK) and self.requested is None:
        pass
      if not done.done() and not self._worker.wait(_GRACE):
        raise StoppedError(self.requested)
    finally:
      if not done.done():
        _left.append(done)
    return done.result()

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del frame
    self.requested = signal.Signals(number).name
    if number != signal.SIGHUP:
      self._restore()

  def _restore(self) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous.clear()


class _Worker:
  """One thread, which does one thing after the other.

  A thread of `concurrent.futures` would be waited for when Python ends.
  """

  def __init__(self) -> None:
    self._work: queue.SimpleQueue[Callable[[], None] | None] = (
      queue.SimpleQueue()
    )
    self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
    threading.Thread(target=self._run, name='jaxssl heard', daemon=True).start()

  def submit(self, work: Callable[[], _T]) -> Future[_T]:
    done: Future[_T] = Future()

    def do() -> None:
      try:
        done.set_result(work())
      except BaseException as error:
        done.set_exception(error)

    self._work.put(do)
    return done

  def wait(self, seconds: float) -> bool:
    """Whether the work that was submitted last has ended by then."""
    try:
      self._ends.get(timeout=seconds)
    except queue.Empty:
      return False
    return True

  def close(self) -> None:
    self._work.put(None)

  def _run(self) -> None:
    while (do := self._work.get()) is not None:
      do()
      self._ends.put(None)
