"""`jaxssl` with steps of 0.1 s or more, for tests that stop it."""

import resource
import signal
import sys
import time

from jaxssl import cli
from jaxssl.train import monitor


def main() -> int:
  add = monitor.Monitor.add

  def slow_add(self, step, metrics):
    time.sleep(0.1)
    add(self, step, metrics)

  monitor.Monitor.add = slow_add
  return cli.main(sys.argv[1:])


def fill_disk() -> None:
  """No file may grow beyond 8 kB, as on a disk that is nearly full."""
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
