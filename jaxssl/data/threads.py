"""Batches of pixels, made by threads of Python.

Pixels need no decoding, and whole pictures no draw of a box, so nothing is left
for TensorFlow, whose import takes seconds of every start. Which reader makes a
batch follows from its plan alone (`suits`), and both make the same rows.
"""

import collections
from collections.abc import Callable
import concurrent.futures
import functools
import os
import time
from typing import Any

import numpy as np

from jaxssl.data import crop
from jaxssl.data.rows import Plan


def suits(plan: Plan) -> bool:
  """Tells whether rows are whole pictures of a source of pixels."""
  return plan.source.content == 'pixels' and not plan.crops


class ThreadReader:
  """Rows of consecutive steps, as `stream.Reader` makes them.

  One thread fetches, as a source need not bear two at once; more of them resize
  the pictures that are not stored in the size that is asked for.

  Args:
    plan: how to make a row; see `suits`.
    positions: step to the int64 [b] stream positions of its rows.
    first_step: first step that will be asked for.
    last_step: first step that will not be asked for.
    prefetch: batches to hold ready.
    num_threads: threads that resize; None for one a core.
  """

  def __init__(
    self,
    plan: Plan,
    positions: Callable[[int], np.ndarray],
    *,
    first_step: int,
    last_step: int,
    prefetch: int,
    num_threads: int | None,
  ):
    pool = concurrent.futures.ThreadPoolExecutor
    self._plan, self._positions = plan, positions
    self._next, self._last_step = first_step, last_step
    self._prefetch = prefetch
    # Threads begin with their first work.
    self._fetching = pool(1)
    self._resizing = pool(num_threads or len(os.sched_getaffinity(0)))
    self._ahead: collections.deque[Any] = collections.deque()
    self.wait_seconds = 0.0

  def read(self) -> dict[str, Any]:
    """Returns the rows of the next step; see `stream.Reader.read`.

    Raises:
      UserError: whatever the source raises.
    """
    start = time.perf_counter()
    while len(self._ahead) <= self._prefetch and self._next < self._last_step:
      self._ahead.append(self._fetching.submit(self._make, self._next))
      self._next += 1
    # It leaves the queue when it is there: a wait may be interrupted.
    rows = self._ahead[0].result()
    self._ahead.popleft()
    self.wait_seconds += time.perf_counter() - start
    return rows

  def close(self) -> None:
    """Stops the threads and drops what was prefetched.

    A fetch that has begun is not waited for: a stop may have come because it
    takes too long.
    """
    for threads in (self._fetching, self._resizing):
      threads.shutdown(wait=False, cancel_futures=True)
    self._ahead.clear()

  def _make(self, step: int) -> dict[str, Any]:
    # No record of pixels is unreadable, so none has a replacement.
    rows = self._plan.fetch(self._positions(step), replacement={})
    pictures = self._pictures(rows.pop('content'))
    del rows['key']
    return {**rows, 'pictures': (pictures,)}

  def _pictures(self, pixels: np.ndarray) -> np.ndarray:
    rule = self._plan.preprocessing
    if rule is None:
      return pixels
    side = rule.image_size
    if rule.resize_size == side and pixels.shape[1:3] == (side, side):
      return pixels
    prepare = functools.partial(crop.prepare, rule=rule)
    return np.stack([*self._resizing.map(prepare, pixels)])
