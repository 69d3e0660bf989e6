"""How a failed command is told: in one line, with an exit code."""

import contextlib
import sys

from jaxssl import paths, printable, stop_signals
from jaxssl.errors import (
  EXIT_LOST,
  EXIT_USAGE,
  LostProcessError,
  UserError,
)


def tell(error: BaseException, command: str) -> int:
  """Prints in one line what ended a command; returns the exit code.

  Args:
    error: what was raised.
    command: its name, key of `cli.COMMANDS`.

  Raises:
    BaseException: the error itself, if it is not a foreseen one.
  """
  # A library in its way may have made another error of the stop. Before or
  # after the loop there is nothing to save: run it again.
  if isinstance(error, KeyboardInterrupt) or stop_signals.has_unwound():
    text, code = stop_signals.outcome(command)
    _tell(text)
    return code
  # An `OSError` is a full disk, a file system that is gone, no permission.
  if isinstance(error, UserError | OSError):
    _tell(' '.join(str(error).split()))
    return EXIT_LOST if isinstance(error, LostProcessError) else EXIT_USAGE
  if not paths.is_of_store(error):  # no network, no permission, no bucket
    raise error
  _tell(f'{type(error).__name__}: {error}')
  return EXIT_USAGE


def _tell(text: str) -> None:
  with contextlib.suppress(OSError):  # the terminal may be closed
    print(f'jaxssl: {printable.printable(text)}', file=sys.stderr)
