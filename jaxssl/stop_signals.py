"""Ctrl-C, SIGTERM and SIGHUP while no training loop hears them.

Until a command does its work there is nothing to save or to tidy up, and no
place to raise an exception: a `KeyboardInterrupt` inside the import of a
library becomes an error of the library, an abort, or is lost. There a stop ends
the process at once (`end_at_once`). Afterwards it unwinds the command
(`unwinding`). A loop that can save listens by itself
(`train.preemption.StopRequest`).
"""

from collections.abc import Generator
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from jaxssl.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED

# Seconds until a stop that a library has swallowed is asked once more.
_AGAIN = 0.05
# Commands that go on where they stopped.
_GO_ON = ('train', 'adapt', 'reproduce')
# The signals that have unwound something.
_come: list[int] = []


def outcome(command: str | None) -> tuple[str, int]:
  """Returns what is said of a command that was stopped, and its exit code.

  Args:
    command: its name, key of `cli.COMMANDS`; None if there is none.
  """
  if command in _GO_ON:
    return 'stopped; the same command goes on', EXIT_PREEMPTED
  return 'stopped', EXIT_INTERRUPTED


def end_at_once(code: int, text: str = '') -> None:
  """From now on a stop ends the process, with nothing between.

  Args:
    code: exit code.
    text: a line for standard error, if there is something to say.
  """
  line = f'jaxssl: {text}\n'.encode() if text else b''

  def end(number: int, frame: FrameType | None) -> None:
    del number, frame
    # Below Python's streams, which may be at work where the signal came.
    with contextlib.suppress(OSError):
      os.write(2, line)
    os._exit(code)

  for number in _heeded():
    signal.signal(number, end)


@contextlib.contextmanager
def unwinding() -> Generator[None]:
  """Within it, a stop raises `KeyboardInterrupt`, whichever signal it is.

  Python drops what is raised in a callback of the garbage collector, where JAX
  has one, or in `__del__`. Such a stop is asked again, and prints nothing.
  """
  _come.clear()
  previous = {number: signal.signal(number, _raise) for number in _heeded()}
  hook, sys.unraisablehook = sys.unraisablehook, _ask_again
  try:
    yield
  finally:
    sys.unraisablehook = hook
    for number, handler in previous.items():
      signal.signal(number, handler)


def has_unwound() -> bool:
  """Whether a stop has unwound something in this process.

  Its exit code is then safe in `os._exit` alone: where the exception went
  through `exec`, as in the making of a dataclass, `python -m` ends as if SIGINT
  had killed it, even though the exception was caught.
  """
  return bool(_come)


def _heeded() -> list[signal.Signals]:
  """Returns the signals that ask for a stop and are not ignored.

  SIGHUP comes when the terminal closes, and is ignored under `nohup`. SIGINT
  is ignored by what a script starts in the background.
  """
  signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  return [n for n in signals if signal.getsignal(n) != signal.SIG_IGN]


def _raise(number: int, frame: FrameType | None) -> None:
  del frame
  _come.append(number)
  raise KeyboardInterrupt


def _ask_again(unraisable: Any) -> None:
  if not _come or not issubclass(unraisable.exc_type, KeyboardInterrupt):
    sys.__unraisablehook__(unraisable)
    return
  # From outside, as what is raised here would be dropped too.
  main = threading.main_thread().ident
  again = threading.Timer(_AGAIN, signal.pthread_kill, (main, _come[-1]))
  again.daemon = True
  again.start()
