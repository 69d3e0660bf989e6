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

_ENDS = """
import atexit, sys, threading, time
from jaxssl.__main__ import program
from jaxssl.commands import methods
class Torn:
  def __del__(self):
    sys.stdout.write('taken apart')
def late():
  time.sleep(0.2)
  print('thread')
def run(*_):
  atexit.register(print, 'at exit')
  threading.Thread(target=late).start()
  return 3
kept = Torn()
methods.run = run
program()
"""


def test_garbage_is_collected_while_a_command_runs():
  child = _run(_COLLECTS)
  assert (child.returncode, child.stdout) == (0, 'True True\n'), child.stderr


# Threads and functions at exit may have something to write; but Python's own
# end aborts where a thread of a library is in C++.
def test_what_waits_for_the_end_is_done_and_nothing_is_taken_apart():
  child = _run(_ENDS)
  assert (child.returncode, child.stdout) == (3, 'thread\nat exit\n')


def _run(program):
  return subprocess.run(
    [sys.executable, '-c', program, 'methods'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
