import shutil

from tests.launch.conftest import ROOT

SCRIPT = 'launch/test.sh'
FAST = '--fast -m not reference'


def _pytest_calls(fakes, folder, *arguments):
  """How the script calls pytest in a checkout whose programs only record."""
  bin_ = folder / 'checkout' / '.venv' / 'bin'
  bin_.mkdir(parents=True)
  shutil.copytree(ROOT / 'launch', folder / 'checkout' / 'launch')
  for name in ('python', 'ruff', 'basedpyright'):
    fakes.add(name)
    shutil.copy(fakes.folder / name, bin_ / name)
  script = folder / 'checkout' / SCRIPT
  done = fakes.run(script, *arguments, PYTHON=str(bin_ / 'python'))
  assert done.returncode == 0, done.stderr
  return [call for call in fakes.calls if '-m pytest' in call]


def test_arguments_go_to_pytest(fakes, tmp_path):
  (call,) = _pytest_calls(fakes, tmp_path / 'a', 'tests/models', '-k', 'vit')
  assert call.endswith(' tests/models -k vit')
  assert FAST not in call


def test_fast_leaves_out_what_is_long_or_needs_other_libraries(fakes, tmp_path):
  (call,) = _pytest_calls(fakes, tmp_path / 'a', '--fast', '-k', 'vit')
  assert call.endswith(f' {FAST} -k vit')


def test_style_and_types_are_checked_before_the_tests_run(fakes, tmp_path):
  _pytest_calls(fakes, tmp_path / 'a')
  order = [
    fakes.calls.index(call)
    for call in (
      'ruff check .',
      'ruff format --check .',
      'basedpyright --pythonpath .venv/bin/python',
      next(call for call in fakes.calls if '-m pytest' in call),
    )
  ]
  assert order == sorted(order)
