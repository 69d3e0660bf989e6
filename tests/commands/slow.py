"""`jaxssl` with steps of 0.1 s or more, for tests that stop it."""

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
