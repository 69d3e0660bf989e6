"""Where metrics go: a file of JSON lines, always, and TensorBoard."""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import os
import pathlib
import tempfile
import time
from typing import BinaryIO, Protocol

from jaxssl import atomic_file
from jaxssl.paths import is_remote, make_path
from jaxssl.train.growing_text import open_text


class Writer(Protocol):
  """Receives scalars."""

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes the scalars of a step."""

  def sync(self) -> None:
    """Makes sure that all survives this machine; called before each save."""

  def close(self) -> None:
    """Makes sure that all is on disk."""


class JsonLines:
  """Appends one JSON object per line, to `metrics.jsonl`.

  Besides the scalars a line has `step`, and `seconds`: how long the run has
  worked until then, all its parts together, also on steps that were lost,
  without the breaks between the parts.

  Lines of steps after `first_step` are removed at the start: a killed run may
  have written them after its last checkpoint, and it will write them again.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    *,
    first_step: int = 0,
    check: Callable[[], None] = lambda: None,
  ):
    """Opens the file.

    Args:
      path: is made if absent; also of a store.
      first_step: the step that the run starts from.
      check: called before each save; raises if the run may not be written any
        more.
    """
    path, self._check = make_path(path), check
    self._began = time.monotonic()
    if path.exists():
      # From step 0 on, everything is written again, step 0 too.
      records = read_json_lines(path) if first_step else []
      self._began -= _worked(records)
      kept = (r for r in records if r['step'] <= first_step)
      lines = (json.dumps(record) + '\n' for record in kept)
      atomic_file.write_text(path, ''.join(lines))
    self._file = open_text(path)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    seconds = round(time.monotonic() - self._began, 1)
    record = {'step': step, 'seconds': seconds, **scalars}
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()

  def sync(self) -> None:
    """See `Writer.sync`."""
    self._check()
    self._file.sync()

  def close(self) -> None:
    """See `Writer.close`."""
    self._check()
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
  text = make_path(path).read_bytes().decode(errors='replace')
  for line in text.splitlines():
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      continue
    if isinstance(record, dict) and isinstance(record.get('step'), int):
      records.append(record)
  return records


def _worked(records: Sequence[Mapping[str, object]]) -> float:
  """Returns the most seconds of any record."""
  found = (record.get('seconds') for record in records)
  return max((s for s in found if isinstance(s, (int, float))), default=0.0)


class TensorBoard:
  """Writes TensorBoard events (through tensorboardX, without TensorFlow).

  For a folder of a store they are written here first, and copied at `sync`.
  """

  def __init__(self, directory: str | os.PathLike[str]):
    """Opens an event file in `directory`."""
    # Imports PyTorch where it is installed, which takes seconds.
    import tensorboardX

    self._directory, self._here = make_path(directory), None
    if is_remote(self._directory):
      self._here = tempfile.TemporaryDirectory()
    place = self._here.name if self._here else self._directory
    self._writer = tensorboardX.SummaryWriter(str(place))

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    for name, value in scalars.items():
      self._writer.add_scalar(name, value, step)

  def sync(self) -> None:
    """See `Writer.sync`."""
    self._writer.flush()
    self._copy()

  def close(self) -> None:
    """See `Writer.close`."""
    self._writer.close()
    self._copy()
    if self._here:
      self._here.cleanup()

  def _copy(self) -> None:
    if self._here is None:
      return
    for path in pathlib.Path(self._here.name).iterdir():
      target, content = self._directory / path.name, path.read_bytes()
      atomic_file.write(target, functools.partial(_fill, content))


def _fill(content: bytes, file: BinaryIO) -> None:
  file.write(content)
