"""How much a compiled program communicates, read off its text."""

import collections
from collections.abc import Iterator
import dataclasses
import math
import re

_KINDS = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
_BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's16': 2, 'u16': 2}
_BYTES |= {'f32': 4, 's32': 4, 'u32': 4, 'f64': 8, 's64': 8, 'u64': 8}
# `%name (x: f32[2]) -> f32[2] {`, at the beginning of a line.
_COMPUTATION = re.compile(r'(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$')
# `x = (f32[2,3]{...}, ...) all-reduce(`; an asynchronous one counts when done.
_COLLECTIVE = re.compile(rf'= (.*?) ({"|".join(_KINDS)})(-done)?\(')
_ARRAY = re.compile(r'\b([a-z]+[0-9]*)\[([0-9,]*)\]')
_WHILE = re.compile(r'condition=%?([\w.\-]+), body=%?([\w.\-]+)')
_CALL = re.compile(r'(?:calls|to_apply|_computation)=%?([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_KNOWN_ROUNDS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONSTANT = re.compile(r'= [su]32\[\]\S* constant\((\d+)\)')


def collective_bytes(text: str) -> dict[str, float]:
  """Returns the bytes that each kind of collective yields in one run.

  What lies in a loop counts as often as the loop goes round, where the program
  says so: as XLA's note or as a comparison of a counter from 0 with a constant,
  which is what `lax.scan` becomes. Otherwise it counts once. Of a condition,
  all branches count.

  Args:
    text: HLO of a compiled program.
  """
  computations, entry = _parse(text)
  total: dict[str, float] = collections.defaultdict(float)
  waiting = [(entry, 1)]
  while waiting:
    name, rounds = waiting.pop()
    for line in computations.get(name, ()):
      for kind, size in _collectives(line):
        total[kind] += rounds * size
      for call in _calls(line, computations):
        waiting.append((call.name, rounds * call.times))
  return dict(total)


@dataclasses.dataclass(frozen=True)
class _Call:
  name: str
  times: int


def _parse(text: str) -> tuple[dict[str, list[str]], str]:
  """Returns the lines of each computation, and the one that is run."""
  found: dict[str, list[str]] = {}
  entry, lines = '', []
  for line in text.splitlines():
    header = _COMPUTATION.match(line)
    if header:
      lines = found.setdefault(header['name'], [])
      entry = header['name'] if header['entry'] else entry
    else:
      lines.append(line)
  return found, entry


def _collectives(line: str) -> Iterator[tuple[str, float]]:
  for shapes, kind, _ in _COLLECTIVE.findall(line):
    for dtype, sides in _ARRAY.findall(shapes):
      count = math.prod(int(side) for side in sides.split(',') if side)
      yield kind, count * _BYTES.get(dtype, 0)


def _calls(line: str, computations: dict[str, list[str]]) -> Iterator[_Call]:
  if ' async-done(' in line or ' async-update(' in line:
    return  # of what `async-start` calls
  loop = _WHILE.search(line)
  if loop:
    condition, body = loop.groups()
    yield _Call(body, _rounds(line, computations.get(condition, [])))
  for name in _CALL.findall(line):
    yield _Call(name, 1)
  for names in _BRANCHES.findall(line):
    for name in names.split(','):
      yield _Call(name.strip().lstrip('%'), 1)


def _rounds(line: str, condition: list[str]) -> int:
  known = _KNOWN_ROUNDS.search(line)
  if known:
    return int(known.group(1))
  body = '\n'.join(condition)
  bounds = _CONSTANT.findall(body)
  if len(bounds) == 1 and 'direction=LT' in body:
    return int(bounds[0])
  return 1
