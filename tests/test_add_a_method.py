"""The page about adding a method works as it stands, and takes four files."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'add_a_method.md'
TABLE = 'jaxssl/methods/__init__.py'
FILES = {
  'jaxssl/methods/uniformity.py',
  TABLE,
  'configs/uniformity_photos.py',
  'tests/methods/test_uniformity.py',
}
# The numbers of the config are for minutes, not for seconds.
SHORT = (
  '--config.train.steps=3',
  '--config.optim.learning_rate.warmup_steps=1',
  '--config.train.batch_size=16',
  '--config.train.num_devices=1',
  '--config.train.log_steps=1',
  '--config.train.tensorboard=false',
  '--config.encoder.width=0.0625',
  '--config.augment.size=16',
  '--config.data.crops_per_picture=2',
  '--config.eval.steps=0',
)


def _blocks():
  """The text of each file of the page, by path."""
  found = re.findall(
    r'```python title="(.*?)"\n(.*?)```', PAGE.read_text(), re.DOTALL
  )
  assert len(found) == len(dict(found))
  return dict(found)


def _with_row(table, block):
  """The table with the import and the row of a block."""
  line, row = block.split('\n\n', 1)
  imports = re.findall(r'^from jaxssl\.methods\..*\n', table, re.MULTILINE)
  table = table.replace(imports[-1], f'{imports[-1]}{line}\n')
  assert table.endswith('\n}\n')
  return f'{table[:-2]}{row}}}\n'


def _contents(folder):
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
    for path in folder.rglob('*')
    if path.is_file() and '__pycache__' not in path.parts
  }


def _run(folder, *command):
  done = subprocess.run(
    [sys.executable, '-m', *map(str, command)],
    cwd=folder,
    env={**os.environ, 'PYTHONPATH': str(folder)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
  return done.stdout


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  """A copy of the repository with what the page says."""
  copy = tmp_path_factory.mktemp('tree') / 'jaxssl'
  copy.mkdir()
  for name in ('jaxssl', 'configs', 'tests', 'benchmarks'):
    ignored = shutil.ignore_patterns('__pycache__', 'results')
    shutil.copytree(ROOT / name, copy / name, ignore=ignored)
  shutil.copy(ROOT / 'pyproject.toml', copy)
  before = _contents(copy)
  for path, text in _blocks().items():
    old = copy / path
    text = _with_row(old.read_text(), text) if path == TABLE else text
    old.write_text(text)
  after = _contents(copy)
  changed = {path for path in after if before.get(path) != after[path]}
  return copy, changed


def test_it_takes_four_files(tree):
  assert tree[1] == FILES


@pytest.mark.slow
def test_it_trains(tree, tmp_path):
  workdir = tmp_path / 'run'
  config = '--config=configs/uniformity_photos.py'
  _run(tree[0], 'jaxssl', 'train', config, f'--workdir={workdir}', *SHORT)
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  assert len([line for line in lines if '"loss"' in line]) == 3
  assert (workdir / 'export').is_dir()


@pytest.mark.slow
def test_the_tests_of_all_methods_are_of_it_and_pass(tree):
  tests = (
    'tests/methods/test_uniformity.py',
    'tests/methods/test_contract.py',
    'tests/methods/test_contrast.py',
    'tests/methods/test_entry.py',
    'tests/methods/test_guessing.py',
    'tests/benchmarks/test_every_method.py',
  )
  select = '(uniformity or every_method) and not steps_of_a_config'
  out = _run(
    tree[0], 'pytest', *tests, '-k', select, '-p', 'no:cacheprovider', '-rp'
  )
  passed = [line for line in out.splitlines() if line.startswith('PASSED')]
  for test in tests:
    assert any(line.startswith(f'PASSED {test}') for line in passed), out
  assert len([line for line in passed if 'test_contract.py' in line]) >= 10
