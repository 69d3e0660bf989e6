"""Which part of the package imports which, read from the code.

python -m tests.import_graph   # prints the graph of docs/architecture.md
"""

import ast
from collections.abc import Iterator, Mapping
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'architecture.md'
Graph = Mapping[str, set[str]]


def layers() -> list[list[str]]:
  """Returns the parts of each row of the page's table, the highest first."""
  text = PAGE.read_text().split('## Layers')[1].split('\n## ')[0]
  rows = [line.split('|')[2] for line in text.splitlines() if line[:1] == '|']
  return [re.findall(r'`([\w.]+)`', row) for row in rows[2:]]


def imports() -> Iterator[tuple[str, str]]:
  """Yields (module, module that it imports), also those inside functions."""
  files = {
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix(
      '.__init__'
    ): path
    for path in (ROOT / 'jaxssl').rglob('*.py')
  }
  for name, path in files.items():
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Import):
        yield from ((name, a.name) for a in node.names if a.name in files)
      elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
          inside = f'{node.module}.{alias.name}'
          target = inside if inside in files else node.module
          if target in files:
            yield name, target


def part_of(module: str, parts: list[str]) -> str | None:
  """Returns the most exact of the parts that a module is in."""
  found = [p for p in parts if f'{module}.'.startswith(f'jaxssl.{p}.')]
  return max(found, key=len, default=None)


def graph() -> Graph:
  """Returns what each part imports, but for itself and the lowest layer."""
  rows = layers()
  parts = [part for row in rows for part in row]
  found: dict[str, set[str]] = {
    part: set() for row in rows[:-1] for part in row
  }
  for pair in imports():
    user, used = (part_of(module, parts) for module in pair)
    if user in found and used in found and user != used:
      found[user].add(used)
  return found


def reached(graph: Graph, part: str) -> set[str]:
  """Returns all that a part imports, itself or through others."""
  found: set[str] = set()
  todo = [part]
  while todo:
    new = graph[todo.pop()] - found
    found |= new
    todo += new
  return found


def text() -> str:
  """Returns the graph as lines, without what follows from other lines."""
  found = graph()
  lines = []
  for part, used in found.items():
    through = set().union(*(reached(found, other) for other in used))
    order = [other for other in found if other in used - through]
    lines.append(f'{part:18} {", ".join(order)}'.rstrip())
  return '\n'.join(lines)


if __name__ == '__main__':
  print(text())
