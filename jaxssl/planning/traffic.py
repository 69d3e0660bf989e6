"""How much a compiled program communicates, read off its text."""

import collections
from collections.abc import Iterator
import re

from jaxssl.planning import hlo

_KINDS = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
# `x = (f32[2,3]{...}, ...) all-reduce(`; an asynchronous one counts when done.
_COLLECTIVE = re.compile(rf'= (.*?) ({"|".join(_KINDS)})(-done)?\(')


def collective_bytes(text: str) -> dict[str, float]:
  """Returns the bytes that each kind of collective yields in one run.

  What lies in a loop counts as often as the loop goes round; see `hlo.calls`.

  Args:
    text: HLO of a compiled program.
  """
  program = hlo.parse(text)
  total: dict[str, float] = collections.defaultdict(float)
  waiting = [(program.entry, 1)]
  while waiting:
    name, rounds = waiting.pop()
    for line in program.computations.get(name, ()):
      for kind, size in _collectives(line):
        total[kind] += rounds * size
      for call in hlo.calls(line, program):
        waiting.append((call.name, rounds * call.times))
  return dict(total)


def _collectives(line: str) -> Iterator[tuple[str, float]]:
  for shapes, kind, _ in _COLLECTIVE.findall(line):
    for array in hlo.arrays(shapes):
      yield kind, array.bytes
