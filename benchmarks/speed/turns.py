"""Processor time of several functions that take turns in one process."""

from collections.abc import Callable, Mapping
import time


def processor_seconds(
  calls: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
  """Returns the processor time of each call of each function.

  A machine changes its speed, and turns spread that over all. The first turn is
  not counted: it compiles.

  Args:
    calls: functions by name.
    rounds: how often each is called after the first turn.
  """
  times: dict[str, list[float]] = {name: [] for name in calls}
  for number in range(rounds + 1):
    for name, call in calls.items():
      start = time.process_time()
      call()
      if number:
        times[name].append(time.process_time() - start)
  return times
