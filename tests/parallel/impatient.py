"""`jaxssl` that waits for other processes for seconds only, for tests."""

import sys

from jaxssl import cli
from jaxssl.parallel import processes

if __name__ == '__main__':
  processes.CONNECT = 5
  processes.SILENCE = 10
  sys.exit(cli.main(sys.argv[1:]))
