"""The program `jaxssl`, also as `python -m jaxssl`."""

import gc
import sys
from typing import NoReturn

from jaxssl import huge_pages, stop_signals


def program() -> NoReturn:
  """Runs the command of the program's arguments; ends with its exit code."""
  command = sys.argv[1] if len(sys.argv) > 1 else None
  # First of all: the import of the rest takes a second.
  huge_pages.restart(command)
  text, code = stop_signals.outcome(command)
  stop_signals.end_at_once(code, text)
  # What is imported stays, so to look for garbage in it is a tenth of the time
  # of a start. The command collects, once it is there.
  gc.disable()

  from jaxssl import cli

  cli.program()


if __name__ == '__main__':
  program()
