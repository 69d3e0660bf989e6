"""Reads the text of a compiled program (XLA's HLO)."""

from collections.abc import Iterator
import dataclasses
import math
import re

_BYTES = {
  **dict.fromkeys(('pred', 's8', 'u8'), 1),
  **dict.fromkeys(('bf16', 'f16', 's16', 'u16'), 2),
  **dict.fromkeys(('f32', 's32', 'u32'), 4),
  **dict.fromkeys(('f64', 's64', 'u64'), 8),
}
# `%name (x: f32[2]) -> f32[2] {`, at the beginning of a line.
_COMPUTATION = re.compile(r'(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$')
_ASSIGNED = re.compile(r'\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)')
_ARRAY = re.compile(r'\b([a-z]+[0-9]*)\[([0-9,]*)\](\{[^}]*\})?')
_OPERAND = re.compile(r'%([\w.\-]+)')
_WHILE = re.compile(r'condition=%?([\w.\-]+), body=%?([\w.\-]+)')
_CALL = re.compile(r'(?:calls|to_apply|_computation)=%?([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_KNOWN_ROUNDS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONSTANT = re.compile(r'= [su]32\[\]\S* constant\((\d+)\)')


@dataclasses.dataclass(frozen=True)
class Program:
  """The text of a program, by computation.

  Attributes:
    computations: lines of each, by name.
    entry: name of the one that is run.
    header: lines before the first.
  """

  computations: dict[str, list[str]]
  entry: str
  header: list[str]


@dataclasses.dataclass(frozen=True)
class Array:
  """Type and place of an array.

  Attributes:
    dtype: such as `'bf16'`.
    shape: its sides.
    layout: such as `'{1,0}'`; may be empty.
  """

  dtype: str
  shape: tuple[int, ...]
  layout: str = ''

  @property
  def size(self) -> int:
    """Returns the number of elements."""
    return math.prod(self.shape)

  @property
  def bytes(self) -> int:
    """Returns the bytes of all elements; 0 for tokens and the like."""
    return self.size * _BYTES.get(self.dtype, 0)


@dataclasses.dataclass(frozen=True)
class Instruction:
  """A line of a computation.

  Attributes:
    name: name of its result.
    op: such as `'fusion'`.
    results: arrays of the result, one or those of a tuple.
    arguments: what stands in the parentheses.
    attributes: what follows them.
  """

  name: str
  op: str
  results: tuple[Array, ...]
  arguments: str
  attributes: str

  @property
  def operands(self) -> tuple[str, ...]:
    """Returns the names of the operands."""
    return tuple(_OPERAND.findall(self.arguments))


@dataclasses.dataclass(frozen=True)
class Call:
  """That a line runs another computation.

  Attributes:
    name: name of that computation.
    times: how often, where the program says so; 1 otherwise.
  """

  name: str
  times: int


def parse(text: str) -> Program:
  """Splits a program into its computations."""
  found: dict[str, list[str]] = {}
  entry, header = '', []
  lines = header
  for line in text.splitlines():
    match = _COMPUTATION.match(line)
    if match:
      lines = found.setdefault(match['name'], [])
      entry = match['name'] if match['entry'] else entry
    else:
      lines.append(line)
  return Program(found, entry, header)


def arrays(shape: str) -> Iterator[Array]:
  """Yields the arrays of a type, such as `(f32[2,3]{1,0}, s32[])`."""
  for dtype, sides, layout in _ARRAY.findall(shape):
    yield Array(dtype, tuple(int(s) for s in sides.split(',') if s), layout)


def instructions(lines: list[str]) -> list[Instruction]:
  """Returns the instructions of a computation."""
  return [found for line in lines if (found := _instruction(line))]


def _instruction(line: str) -> Instruction | None:
  match = _ASSIGNED.match(line)
  if not match:
    return None
  rest = match['rest']
  end = _closing(rest, 0) + 1 if rest.startswith('(') else rest.find(' ')
  shape, rest = rest[:end], rest[end:].lstrip()
  op, found, _ = rest.partition('(')
  if not found:
    return None
  end = _closing(rest, len(op))
  return Instruction(
    name=match['name'],
    op=op,
    results=tuple(arrays(shape)),
    arguments=rest[len(op) + 1 : end],
    attributes=rest[end + 1 :],
  )


def _closing(text: str, start: int) -> int:
  """Returns where the parenthesis that opens at `start` closes."""
  depth = 0
  for place in range(start, len(text)):
    depth += {'(': 1, ')': -1}.get(text[place], 0)
    if depth == 0:
      return place
  return len(text)


def calls(line: str, program: Program) -> Iterator[Call]:
  """Yields which computations a line runs.

  A loop counts as often as it goes round, where the program says so: as XLA's
  note or as a comparison of a counter from 0 with a constant, which is what
  `lax.scan` becomes. Otherwise it counts once. Of a condition, all branches
  count.
  """
  if ' async-done(' in line or ' async-update(' in line:
    return  # of what `async-start` calls
  loop = _WHILE.search(line)
  if loop:
    condition, body = loop.groups()
    yield Call(body, _rounds(line, program.computations.get(condition, [])))
  for name in _CALL.findall(line):
    yield Call(name, 1)
  for names in _BRANCHES.findall(line):
    for name in names.split(','):
      yield Call(name.strip().lstrip('%'), 1)


def _rounds(line: str, condition: list[str]) -> int:
  known = _KNOWN_ROUNDS.search(line)
  if known:
    return int(known.group(1))
  body = '\n'.join(condition)
  bounds = _CONSTANT.findall(body)
  if len(bounds) == 1 and 'direction=LT' in body:
    return int(bounds[0])
  return 1
