"""The program itself, in a process of its own."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
_COLLECTS = """
import gc
from jaxssl.__main__ import program
from jaxssl.commands import methods
def run(*_):
  print(gc.isenabled(), gc.get_freeze_count() > 100_000)
  return 0
methods.run = run
program()
"""


def test_garbage_is_collected_while_a_command_runs():
  child = subprocess.run(
    [sys.executable, '-c', _COLLECTS, 'methods'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (child.returncode, child.stdout) == (0, 'True True\n'), child.stderr
