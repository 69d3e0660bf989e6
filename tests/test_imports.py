"""What must not be imported before it is used: it is slow, or optional."""

import pathlib
import re
import subprocess
import sys

import pytest

import jaxssl
from tests import import_graph

PACKAGE = pathlib.Path(jaxssl.__file__).parent
HEAVY = ('tensorflow', 'torch', 'matplotlib', 'skimage', 'sklearn', 'umap')

PROGRAM = """
import importlib, sys
for name in sys.argv[1].split(','):
  importlib.import_module(name)
print(*(name for name in sys.argv[2].split(',') if name in sys.modules))
"""


def _loaded(modules, unwanted):
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, ','.join(modules), ','.join(unwanted)],
    cwd=PACKAGE.parent,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout.split()


def _all_modules():
  files = [f for f in PACKAGE.rglob('*.py') if f.name != '__main__.py']
  parts = (f.relative_to(PACKAGE.parent).with_suffix('').parts for f in files)
  return sorted('.'.join(p).removesuffix('.__init__') for p in parts)


@pytest.mark.parametrize(
  ('modules', 'unwanted'),
  [
    # The command line answers --help without JAX.
    (['jaxssl', 'jaxssl.cli', 'jaxssl.config'], ('jax', *HEAVY)),
    (_all_modules(), HEAVY),
  ],
  ids=['command line', 'every module'],
)
def test_heavy_packages_are_not_imported(modules, unwanted):
  assert _loaded(modules, unwanted) == []


def test_private_parts_of_jax_are_used_in_one_file():
  users = {
    str(file.relative_to(PACKAGE))
    for file in PACKAGE.rglob('*.py')
    if re.search(r'^\s*(from|import) jax\._src', file.read_text(), re.MULTILINE)
  }
  assert users == {'parallel/private_jax.py'}


@pytest.mark.parametrize(
  'arguments', [[], ['--help'], ['--version'], ['trian']]
)
def test_commands_are_listed_without_jax(arguments):
  code = (
    'import contextlib, sys; from jaxssl import cli\n'
    f'with contextlib.suppress(SystemExit): cli.main({arguments})\n'
    "sys.exit('jax' in sys.modules)"
  )
  subprocess.run([sys.executable, '-c', code], cwd=PACKAGE.parent, check=True)


def test_no_layer_imports_a_higher_one():
  rows = import_graph.layers()
  height = {part: -row for row, parts in enumerate(rows) for part in parts}
  higher = []
  for pair in import_graph.imports():
    user, used = (import_graph.part_of(module, [*height]) for module in pair)
    # `jaxssl` alone is in none: it has the version only.
    if user and used and height[used] > height[user]:
      higher.append(' imports '.join(pair))
  assert higher == []


def test_every_module_is_in_a_layer():
  parts = [part for row in import_graph.layers() for part in row]
  assert len(parts) == len(set(parts))
  modules = set(_all_modules()) - {'jaxssl'}
  assert {m for m in modules if not import_graph.part_of(m, parts)} == set()
  used = {import_graph.part_of(module, parts) for module in modules}
  assert used == set(parts)


def test_no_part_imports_one_that_imports_it():
  graph = import_graph.graph()
  assert [p for p in graph if p in import_graph.reached(graph, p)] == []


def test_the_page_shows_the_graph():
  assert f'```text\n{import_graph.text()}\n```' in import_graph.PAGE.read_text()
