"""CPU seconds of every test, the processes that it started included.

  pytest --cpu-report FILE   writes a line per test, the longest first
  pytest --cpu-limit 20      fails if one without the mark `slow` had more, all
                             cases of its table together

Seconds of a clock depend on what else the machine does; these hardly do. What
a fixture of a module or session costs is counted as setup of the test that
asked first, and has no limit.
"""

import collections
import os
import pathlib

import pytest

_SECONDS = pytest.StashKey[float]()


def add_options(parser: pytest.Parser) -> None:
  """Adds the two options."""
  group = parser.getgroup('CPU seconds')
  group.addoption(
    '--cpu-report',
    metavar='FILE',
    type=pathlib.Path,
    help='write the CPU seconds of each test there',
  )
  group.addoption(
    '--cpu-limit',
    metavar='SECONDS',
    type=float,
    help='fail if a test without the mark `slow` takes more, all its cases',
  )


def register(config: pytest.Config) -> None:
  """Starts to count, if one of the options is given."""
  path, limit = config.getoption('cpu_report'), config.getoption('cpu_limit')
  if path is not None or limit is not None:
    path = path and path.absolute()
    config.pluginmanager.register(CpuReport(path, limit), 'cpu-report')


class CpuReport:
  """A plugin of pytest; workers of xdist measure, their controller reports.

  Attributes:
    path: file to write, or None.
    limit: seconds that a test without the mark `slow` may take in all its
      cases, or None.
    seconds: test -> phase ('setup', 'call', 'teardown') -> CPU seconds.
    slow: tests with the mark.
  """

  def __init__(self, path: pathlib.Path | None, limit: float | None):
    self.path, self.limit = path, limit
    self.seconds: dict[str, dict[str, float]] = collections.defaultdict(dict)
    self.slow: set[str] = set()

  @pytest.hookimpl(wrapper=True)
  def pytest_runtest_protocol(self, item):
    item.stash[_SECONDS] = cpu_seconds()
    return (yield)

  @pytest.hookimpl(wrapper=True)
  def pytest_runtest_makereport(self, item):
    report, now = (yield), cpu_seconds()
    report.cpu_seconds = now - item.stash[_SECONDS]
    item.stash[_SECONDS] = now
    return report

  def pytest_runtest_logreport(self, report):
    # A test that ended its worker has no report of its own.
    seconds = getattr(report, 'cpu_seconds', 0.0)
    self.seconds[report.nodeid][report.when] = seconds
    if 'slow' in report.keywords:
      self.slow.add(report.nodeid)

  def too_long(self) -> list[str]:
    """Returns the tests above the limit that are not marked."""
    total: collections.Counter[str] = collections.Counter()
    for name, phases in self.seconds.items():
      if name not in self.slow:
        total[name.split('[')[0]] += phases.get('call', 0)
    return [
      f'{name}: {seconds:.1f} CPU seconds'
      for name, seconds in total.items()
      if self.limit is not None and seconds > self.limit
    ]

  def lines(self) -> list[str]:
    """Returns a row per test: total, setup, call, name, tab-separated."""
    rows = sorted(
      ((sum(p.values()), p, name) for name, p in self.seconds.items()),
      key=lambda row: -row[0],
    )
    return [
      f'{total:.2f}\t{phases.get("setup", 0):.2f}\t'
      f'{phases.get("call", 0):.2f}\t{name}{" slow" * (name in self.slow)}'
      for total, phases, name in rows
    ]

  @pytest.hookimpl(tryfirst=True)
  def pytest_sessionfinish(self, session):
    if hasattr(session.config, 'workerinput'):
      return
    if self.path is not None:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      self.path.write_text('\n'.join([HEADER, *self.lines(), '']))
    if self.too_long() and session.exitstatus == pytest.ExitCode.OK:
      session.exitstatus = pytest.ExitCode.TESTS_FAILED

  def pytest_terminal_summary(self, terminalreporter):
    for line in self.too_long():
      terminalreporter.write_line(f'not marked slow: {line}', red=True)


HEADER = 'total\tsetup\tcall\ttest'


def cpu_seconds() -> float:
  """Returns what this process and the children it waited for have used."""
  times = os.times()
  return sum(times[:4])
