"""Indices of many files, made by several processes.

Reading headers is work of Python, which threads would not share. The processes
are programs of their own and not `multiprocessing`: that would either copy a
process with threads, or import the user's script again.

They only fill the cache folder. Whatever one of them does not do, the program
does by itself, and says what is wrong with a file.
"""

from collections.abc import Sequence
import concurrent.futures
import contextlib
import os
import pickle
import queue
import subprocess
import sys

from jaxssl.data import kept_index, remote

# A process starts in seconds, so smaller data are not worth it.
LEAST_BYTES = 1 << 28


def make(
  paths: Sequence[str],
  states: Sequence[str],
  scan: kept_index.Scan,
  settings: str,
) -> None:
  """Makes and keeps the indices of those files that have none.

  Does nothing where one process is as good: for few files, or small ones.

  Args:
    paths: the files.
    states: their states, see `kept_index.of_file`.
    scan: makes an index; something that `pickle` takes.
    settings: see `kept_index.of_file`.
  """
  paths = [
    path
    for path, state in zip(paths, states, strict=True)
    if not kept_index.place(path, state, settings).exists()
  ]
  count = min(len(os.sched_getaffinity(0)), len(paths))
  if count < 2 or sum(map(remote.size, paths)) < LEAST_BYTES:
    return
  waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
  for path in paths:
    waiting.put(path)
  task = pickle.dumps((scan, settings))
  with concurrent.futures.ThreadPoolExecutor(count) as pool:
    for _ in range(count):
      pool.submit(_feed, waiting, task)


def _feed(waiting: queue.SimpleQueue[str], task: bytes) -> None:
  """Starts a process and gives it one file after the other."""
  with (
    contextlib.suppress(queue.Empty, BrokenPipeError),
    subprocess.Popen(
      [sys.executable, '-m', __name__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    ) as worker,
  ):
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(task)
    while True:
      pickle.dump(waiting.get_nowait(), worker.stdin)
      worker.stdin.flush()
      if not worker.stdout.read(1):  # it has ended
        return


def _work() -> None:
  """Makes the indices that are asked for, until nobody asks any more."""
  scan, settings = pickle.load(sys.stdin.buffer)
  with contextlib.suppress(EOFError):
    while True:
      path = pickle.load(sys.stdin.buffer)
      # The program that asked scans it again and says what is wrong.
      with contextlib.suppress(Exception):
        state = kept_index.state_of(path)
        kept_index.of_file(path, state, scan, settings)
      os.write(sys.stdout.fileno(), b'.')


if __name__ == '__main__':
  _work()
