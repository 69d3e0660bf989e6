"""Where in the source the instructions of a compiled program come from."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re

_ROW = re.compile(r'(\d+) (.+)')
_FIELD = re.compile(r'(\w+)=(\d+)')
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')
_FRAME = re.compile(r'stack_frame_id=(\d+)')
# What every step goes through, and what says nothing of the model.
_WRAPPERS = re.compile(r'^(?:jit\(\w+\)/)+|/?(?:cond|branch_\d+_fun)(?=/)')


@dataclasses.dataclass(frozen=True)
class StackFrames:
  """Tables at the head of a program's text, by number.

  Attributes:
    files: names.
    locations: file and line.
    frames: location.
  """

  files: Mapping[int, str]
  locations: Mapping[int, Mapping[str, int]]
  frames: Mapping[int, Mapping[str, int]]

  @classmethod
  def parse(cls, header: Sequence[str]) -> 'StackFrames':
    """Reads the tables; all are empty where the text has none."""
    tables: dict[str, dict[int, str]] = {}
    table: dict[int, str] = {}
    for line in header:
      row = _ROW.fullmatch(line)
      if row:
        table[int(row.group(1))] = row.group(2)
      elif line:
        table = tables.setdefault(line, {})

    def fields(name: str) -> dict[int, dict[str, int]]:
      return {
        number: {key: int(value) for key, value in _FIELD.findall(row)}
        for number, row in tables.get(name, {}).items()
      }

    files = {n: f.strip('"') for n, f in tables.get('FileNames', {}).items()}
    return cls(files, fields('FileLocations'), fields('StackFrames'))

  def place(self, attributes: str) -> str:
    """Returns operation and line of an instruction, as far as it tells them.

    Such as `jvp(ViT)/blocks_0/attn/qkv/dot_general (dense.py:57)`.

    Args:
      attributes: attributes of the instruction.
    """
    name = _OP_NAME.search(attributes)
    frame = _FRAME.search(attributes)
    shown = _WRAPPERS.sub('', name.group(1)) if name else ''
    line = self._line(int(frame.group(1))) if frame else ''
    return f'{shown} ({line})' if line else shown

  def _line(self, frame: int) -> str:
    location = self.locations.get(
      self.frames.get(frame, {}).get('file_location_id', 0)
    )
    if not location:
      return ''
    file = self.files.get(location.get('file_name_id', 0), '')
    return f'{pathlib.PurePath(file).name}:{location.get("line", 0)}'
