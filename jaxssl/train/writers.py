"""Where metrics go: a file of JSON lines, always, and TensorBoard."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
import time
from typing import Any, BinaryIO, Protocol

import numpy as np

from jaxssl import atomic_file
from jaxssl import config as config_lib
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
  """What a reader of metrics wants to know of a run besides.

  Attributes:
    name: name of the run.
    config: sections of its config.
    pictures: uint8 [H, W, 3] each, by name; none where the run goes on.
    directory: folder of this machine for files of a writer, if there is one.
  """

  name: str
  config: dict[str, Any]
  pictures: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  directory: str | None = None


_GROUPS = {
  'bad_records': 'input',
  'effective_rank': 'features',
  'feature_std': 'features',
  'images_per_second': 'speed',
  'input_wait': 'speed',
  'seconds_left': 'speed',
}


def tagged(scalars: Mapping[str, float]) -> dict[str, float]:
  """Returns scalars with the group of each in its name, as `train/loss`.

  A name that has one (`knn/top1`) keeps it; what is in no other group is of the
  training.
  """
  return {
    name if '/' in name else f'{_GROUPS.get(name, "train")}/{name}': value
    for name, value in scalars.items()
  }


class JsonLines:
  """Appends one JSON object per line, to `metrics.jsonl`.

  Besides the scalars a line has `step`, and `seconds`: how long the run has
  worked until then, all its parts together, also on steps that were lost
  (unless all were: a run that starts at step 0 starts its clock too), without
  the breaks between the parts.

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
      # As if it had begun so much earlier.
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

  Tags are in groups (`tagged`). The config is there as a text and as
  hyperparameters.

  For a folder of a store they are written here first, and copied at `sync`.
  """

  def __init__(self, directory: str | os.PathLike[str], about: About):
    """Opens an event file in `directory`."""
    # Imports PyTorch where it is installed, which takes seconds.
    import tensorboardX
    from tensorboardX.summary import hparams

    self._directory, self._here = make_path(directory), None
    if is_remote(self._directory):
      self._here = tempfile.TemporaryDirectory()
    place = self._here.name if self._here else self._directory
    self._writer = tensorboardX.SummaryWriter(str(place))
    text = config_lib.to_json(about.config)
    self._writer.add_text('config', f'```json\n{text}\n```')
    flat = {
      key: value if isinstance(value, (bool, int, float, str)) else str(value)
      for key, value in config_lib.flatten(about.config).items()
    }
    # Not `add_hparams`, which puts them into a run of their own.
    events = self._writer.file_writer
    assert events is not None  # the text has opened it
    for summary in hparams(flat, {'train/loss': 0, 'knn/top1': 0}):
      events.add_summary(summary)
    for name, pixels in about.pictures.items():
      self._writer.add_image(name, pixels, 0, dataformats='HWC')

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    for name, value in tagged(scalars).items():
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
