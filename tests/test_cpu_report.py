"""CPU seconds are counted per test, and a limit is kept."""

import os
import subprocess
import sys
import time

import pytest

from tests import cpu_report, kept_programs

CHILD = 'import time\nwhile time.process_time() < 0.4: pass'


def _spin(seconds):
  end = time.process_time() + seconds
  while time.process_time() < end:
    pass


class _Item:
  def __init__(self):
    self.stash = pytest.Stash()


class _Report:
  def __init__(self, when, keywords=()):
    self.nodeid, self.when = 'tests/test_x.py::test_x', when
    self.keywords = keywords


def _measured(plugin, when, work, keywords=()):
  """What the hooks of a phase see."""
  item, report = _Item(), _Report(when, keywords)
  item.stash[cpu_report._SECONDS] = cpu_report.cpu_seconds()
  work()
  making = plugin.pytest_runtest_makereport(item)
  next(making)
  with pytest.raises(StopIteration):
    making.send(report)
  plugin.pytest_runtest_logreport(report)


def test_work_of_the_test_and_of_its_processes_counts_but_not_waiting():
  plugin = cpu_report.CpuReport(None, None)
  _measured(plugin, 'setup', lambda: time.sleep(0.5))
  _measured(
    plugin,
    'call',
    lambda: subprocess.run([sys.executable, '-c', CHILD], check=True),
  )
  _measured(plugin, 'teardown', lambda: _spin(0.3))
  (phases,) = plugin.seconds.values()
  assert phases['setup'] < 0.2
  assert phases['call'] > 0.35
  assert phases['teardown'] > 0.25


@pytest.mark.parametrize(
  ('call', 'keywords', 'fails'),
  [(0.5, (), True), (0.05, (), False), (0.5, ('slow',), False)],
)
def test_only_unmarked_tests_above_the_limit_fail(call, keywords, fails):
  plugin = cpu_report.CpuReport(None, 0.3)
  _measured(plugin, 'setup', lambda: _spin(0.5), keywords)
  _measured(plugin, 'call', lambda: _spin(call), keywords)
  assert bool(plugin.too_long()) == fails


def test_cases_of_one_test_count_together():
  plugin = cpu_report.CpuReport(None, 0.8)
  plugin.seconds['test_x[a]']['call'] = 0.5
  plugin.seconds['test_y[a]']['call'] = 0.5
  assert plugin.too_long() == []
  plugin.seconds['test_x[b]']['call'] = 0.5
  assert plugin.too_long() == ['test_x: 1.0 CPU seconds']


def test_the_longest_comes_first():
  plugin = cpu_report.CpuReport(None, None)
  plugin.seconds['short']['call'] = 0.5
  plugin.seconds['long'] |= {'setup': 1.0, 'call': 2.0}
  plugin.slow.add('long')
  assert plugin.lines() == [
    '3.00\t1.00\t2.00\tlong slow',
    '0.50\t0.00\t0.50\tshort',
  ]


def test_pytest_takes_the_options(tmp_path):
  test = tmp_path / 'test_two.py'
  test.write_text(
    'import time\n'
    'def test_short(): pass\n'
    'def test_long():\n'
    '  end = time.process_time() + 0.5\n'
    '  while time.process_time() < end: pass\n'
  )
  (tmp_path / 'conftest.py').write_text(
    'from tests import cpu_report\n'
    'def pytest_addoption(parser): cpu_report.add_options(parser)\n'
    'def pytest_configure(config): cpu_report.register(config)\n'
  )
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'pytest', '-q', '-n2', '-p', 'no:cacheprovider'),
      f'--rootdir={tmp_path}',
      '--cpu-report=out/cpu.tsv',
      '--cpu-limit=0.3',
      str(test),
    ],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(kept_programs.CHECKOUT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1, done.stdout + done.stderr
  assert 'not marked slow: test_two.py::test_long' in done.stdout
  assert 'test_short' not in done.stdout
  head, first, second = (tmp_path / 'out' / 'cpu.tsv').read_text().splitlines()
  assert head == cpu_report.HEADER
  assert first.endswith('test_long')
  assert second.endswith('test_short')
