"""Where metrics go: a file of JSON lines, always, and TensorBoard."""

from collections.abc import Mapping
import json
import os
import pathlib
from typing import Protocol

from jaxssl import atomic_file


class Writer(Protocol):
  """Receives scalars."""

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes the scalars of a step."""

  def close(self) -> None:
    """Makes sure that all is on disk."""


class JsonLines:
  """Appends one JSON object a line, with `step`, to `metrics.jsonl`.

  Lines of steps after `first_step` are removed at the start: a killed run may
  have written them after its last checkpoint, and it will write them again.
  """

  def __init__(self, path: str | pathlib.Path, *, first_step: int = 0):
    """Opens the file.

    Args:
      path: is made if absent.
      first_step: the step that the run starts from.
    """
    path = pathlib.Path(path)
    if path.exists():
      kept = [
        json.dumps(record) + '\n'
        for record in read_json_lines(path)
        # From step 0 on, everything is written again, step 0 too.
        if first_step and record['step'] <= first_step
      ]
      atomic_file.write_text(path, ''.join(kept))
    self._file = path.open('a')

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    self._file.write(json.dumps({'step': step, **scalars}) + '\n')
    self._file.flush()

  def close(self) -> None:
    """See `Writer.close`."""
    self._file.close()


def read_json_lines(
  path: str | os.PathLike[str],
) -> list[dict[str, float]]:
  """Returns the records of a `metrics.jsonl`, as they stand there.

  What is no JSON object with a step is none: a line that a crash cut short.

  Raises:
    OSError: the file cannot be read.
  """
  records = []
  for line in pathlib.Path(path).read_text(errors='replace').splitlines():
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      continue
    if isinstance(record, dict) and isinstance(record.get('step'), int):
      records.append(record)
  return records


class TensorBoard:
  """Writes TensorBoard events (through tensorboardX, without TensorFlow)."""

  def __init__(self, directory: str | pathlib.Path):
    """Opens an event file in `directory`."""
    # Imports PyTorch where it is installed, which takes seconds.
    import tensorboardX

    self._writer = tensorboardX.SummaryWriter(str(directory))

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    for name, value in scalars.items():
      self._writer.add_scalar(name, value, step)

  def close(self) -> None:
    """See `Writer.close`."""
    self._writer.close()
