"""The kernels of a compiled program: what they move, compute, and come from.

Counted off the text of the program: operands and results of every kernel that
it runs, as if caches kept nothing from one kernel to the next. Of an operand of
which a kernel only reads slices or gathers rows, these count. What lies in a
TPU's own memory beside the cores moves nothing.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import re

from jaxssl.planning import hlo, products
from jaxssl.planning.stack_frames import StackFrames

# What costs nothing: names for memory, and ends of what began elsewhere.
_FREE = {
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast'),
  *('after-all', 'add-dependency', 'opt-barrier'),
  *('partition-id', 'replica-id'),
}
_RUN_ELSEWHERE = {'while', 'conditional', 'call'}
_PARTS = {'slice', 'dynamic-slice', 'gather'}
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_CALLS = re.compile(r'calls=%?([\w.\-]+)')
# What the compiler for TPUs reckons with when it chooses among programs.
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
# Of a TPU's layout: the space beside the cores.
_ON_CHIP = re.compile(r'S\([1-9]')


@dataclasses.dataclass(frozen=True)
class Kernel:
  """One kernel, as often as it runs in a step.

  Attributes:
    name: name of the instruction.
    kind: its operation, or the library function that it calls.
    times: how often it runs.
    bytes: bytes of operands and results, each time.
    flops: operations of its products and convolutions, each time.
    place: operation of the model that it comes from, and line of the source.
    cycles: cycles of a TPU's core that its compiler expects it to take, each
      time; None where it says nothing.
  """

  name: str
  kind: str
  times: int
  bytes: float
  flops: float
  place: str
  cycles: int | None = None


def kernels(text: str) -> list[Kernel]:
  """Returns the kernels of a program in the order of its text.

  Loops count as `hlo.calls` says.

  Args:
    text: HLO of a compiled program.
  """
  program = hlo.parse(text)
  frames = StackFrames.parse(program.header)
  found: list[Kernel] = []
  waiting = [(program.entry, 1)]
  while waiting:
    name, times = waiting.pop()
    lines = program.computations.get(name, [])
    found += _of_computation(lines, times, program, frames)
    waiting += [
      (call.name, times * call.times) for call in _runs(lines, program)
    ]
  return found


def _runs(lines: list[str], program: hlo.Program) -> Iterator[hlo.Call]:
  for line in lines:
    if any(f' {op}(' in line for op in _RUN_ELSEWHERE):
      yield from hlo.calls(line, program)


def _of_computation(
  lines: list[str], times: int, program: hlo.Program, frames: StackFrames
) -> Iterator[Kernel]:
  instructions = hlo.instructions(lines)
  results = {each.name: each.results for each in instructions}
  for each in instructions:
    if each.op in _FREE | _RUN_ELSEWHERE or each.op.endswith('-done'):
      continue
    yield Kernel(
      name=each.name,
      kind=_kind(each),
      times=times,
      bytes=float(_moved(each, results, _body(each, program))),
      flops=_flops(each, results, program),
      place=frames.place(each.attributes),
      cycles=_cycles(each),
    )


def _cycles(instruction: hlo.Instruction) -> int | None:
  found = _CYCLES.search(instruction.attributes)
  return int(found.group(1)) if found else None


def _kind(instruction: hlo.Instruction) -> str:
  target = _TARGET.search(instruction.attributes)
  return target.group(1) if target else instruction.op


def _body(
  instruction: hlo.Instruction, program: hlo.Program
) -> list[hlo.Instruction]:
  """Returns what a fusion computes, or nothing for other kernels."""
  called = _CALLS.search(instruction.attributes)
  if instruction.op != 'fusion' or not called:
    return []
  return hlo.instructions(program.computations.get(called.group(1), []))


def _flops(
  instruction: hlo.Instruction, results: products.Results, program: hlo.Program
) -> float:
  if instruction.op != 'fusion':
    return products.flops(instruction, results)
  body = _body(instruction, program)  # with fusions in it, on a TPU
  inside = {each.name: each.results for each in body}
  return sum(_flops(each, inside, program) for each in body)


def _moved(
  instruction: hlo.Instruction,
  results: products.Results,
  body: Sequence[hlo.Instruction],
) -> int:
  read = _bytes_read(body)
  moved = sum(map(_bytes, instruction.results))
  for place, operand in enumerate(instruction.operands):
    if operand in instruction.operands[:place]:
      continue
    whole = sum(map(_bytes, results.get(operand, ())))
    moved += min(whole, read.get(place, whole))
  return moved


def _bytes(array: hlo.Array) -> int:
  # A library's workspace is no result.
  if array.dtype in ('s8', 'u8') and len(array.shape) == 1:
    return 0
  return 0 if _ON_CHIP.search(array.layout) else array.bytes


def _bytes_read(body: Sequence[hlo.Instruction]) -> dict[int, int]:
  """Returns the bytes that a fusion reads, by operand, where it reads parts."""
  places = {
    each.name: int(each.arguments) for each in body if each.op == 'parameter'
  }
  read: dict[int, int] = dict.fromkeys(places.values(), 0)
  for each in body:
    for operand in set(each.operands) & set(places):
      place = places[operand]
      if each.op not in _PARTS or each.operands[0] != operand:
        read.pop(place, None)
      elif place in read:
        read[place] += sum(part.bytes for part in each.results)
  return read
