"""Leaves out the tests that take longest: `pytest --fast`.

They are named in `tests/longer_tests.txt`, by the CPU seconds of a report. A
test that is new is not there, and runs. What it shares with the others of its
file is paid by the first that asks, so the list is made in rounds, each with
what the one before left:

  pytest --cpu-report FILE          all tests
  python -m tests.fast FILE         adds those that took longer to the list
  pytest --fast --cpu-report FILE   the rest; again `python -m tests.fast FILE`
"""

import collections
from collections.abc import Iterable
import pathlib
import sys

LIST = pathlib.Path(__file__).with_name('longer_tests.txt')
# CPU seconds of all cases of a test together.
LIMIT = 0.5


def name_of(test: str) -> str:
  """Returns the name of a test without its case."""
  return test.partition('[')[0]


def longer(report: str) -> set[str]:
  """Returns names of tests above the limit.

  Args:
    report: text that `--cpu-report` has written.
  """
  seconds: collections.Counter[str] = collections.Counter()
  for line in report.splitlines()[1:]:
    total, _, _, test = line.split('\t')
    seconds[name_of(test.removesuffix(' slow'))] += float(total)
  return {name for name, total in seconds.items() if total > LIMIT}


def add(names: Iterable[str], path: pathlib.Path = LIST) -> None:
  """Adds names to the list, which is sorted."""
  path.write_text(''.join(f'{n}\n' for n in sorted({*kept(path), *names})))


def kept(path: pathlib.Path = LIST) -> set[str]:
  """Returns the names of the list."""
  return set(path.read_text().split('\n')) - {''}


def leave_out(config, items) -> None:
  """Deselects, in place, the tests that the list names."""
  names = kept()
  out = [item for item in items if name_of(item.nodeid) in names]
  items[:] = [item for item in items if name_of(item.nodeid) not in names]
  config.hook.pytest_deselected(items=out)


if __name__ == '__main__':
  add(longer(pathlib.Path(sys.argv[1]).read_text()))
