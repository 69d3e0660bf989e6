"""`jaxssl` with `gs://` in a file that several processes share, for tests."""

import os
import sys

from jaxssl import cli
from tests import object_store

if __name__ == '__main__':
  with object_store.running(os.environ['OBJECTS']):
    code = cli.main(sys.argv[1:])
  sys.exit(code)
