"""`jaxssl` with steps of 0.1 s or more, for tests that stop it."""

import resource
import signal
import time
from typing import NoReturn

from jaxssl import cli
from jaxssl.data import rows
from jaxssl.train import monitor


def main() -> NoReturn:
  # `nohup` has those that it starts ignore it.
  signal.signal(signal.SIGHUP, signal.SIG_DFL)
  add = monitor.Monitor.add

  def slow_add(self, step, metrics):
    time.sleep(0.1)
    add(self, step, metrics)

  monitor.Monitor.add = slow_add
  cli.program()


def batches(after: int) -> None:
  """After so many batches of 16, the records of each take minutes to read."""
  fetch, made = rows.Plan.fetch, []

  def slow_fetch(self, positions, **arguments):
    if len(positions) == 16:  # those of evaluations are larger
      made.append(None)
    if len(positions) == 16 and len(made) > after:
      time.sleep(300)
    return fetch(self, positions, **arguments)

  rows.Plan.fetch = slow_fetch


def fill_disk() -> None:
  """No file may grow beyond 8 kB, as on a disk that is nearly full."""
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
