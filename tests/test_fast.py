"""Which tests `--fast` leaves out."""

import types

from tests import conftest, cpu_report, fast

REPORT = f"""{cpu_report.HEADER}
3.00\t0.00\t3.00\ttests/test_x.py::test_long slow
0.30\t0.00\t0.30\ttests/test_x.py::TestTable::test_row[a - b[0]]
0.30\t0.30\t0.00\ttests/test_x.py::TestTable::test_row[c]
0.40\t0.00\t0.40\ttests/test_x.py::test_short
"""


def test_cases_of_a_table_count_together():
  assert fast.longer(REPORT) == {
    'tests/test_x.py::test_long',
    'tests/test_x.py::TestTable::test_row',
  }


def test_the_list_grows_sorted(tmp_path):
  path = tmp_path / 'list.txt'
  path.write_text('tests/b.py::test\n')
  fast.add({'tests/a.py::test', 'tests/b.py::test'}, path)
  assert path.read_text() == 'tests/a.py::test\ntests/b.py::test\n'


def test_every_name_of_the_list_is_a_test():
  for name in fast.kept():
    file, _, test = name.partition('::')
    text = (conftest.REPOSITORY / file).read_text()
    assert f'def {test.rpartition("::")[-1]}(' in text, name


def test_named_tests_are_left_out_with_all_their_cases(monkeypatch):
  monkeypatch.setattr(fast, 'kept', lambda: {'tests/a.py::test_long'})
  names = ['tests/a.py::test_long[x]', 'tests/a.py::test_longer', 'tests/b.py']
  items = [types.SimpleNamespace(nodeid=name) for name in names]
  told = []
  hook = types.SimpleNamespace(
    pytest_deselected=lambda items: told.extend(items)
  )
  first, *others = items
  fast.leave_out(types.SimpleNamespace(hook=hook), items)
  assert items == others
  assert told == [first]
