"""Data of a run, or other data, for whoever looks at its encoder."""

from collections.abc import Iterator, Mapping
import dataclasses
import json
import logging
import pathlib
import re
from typing import Any

from jaxssl import build, data, defaults
from jaxssl.data import places
from jaxssl.data.chosen import Paths, several
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_log = logging.getLogger(__name__)
# `imagenet_v2:test[:10%]`, but not `gs://bucket/v2`.
_WITH_SPLIT = re.compile(r'(.+):((?:[\w.+-]|\[[^\]]*\])+)')
# Sources that have the split `all`.
_WITH_ALL = ('folder', 'pairs', 'tar', 'tfrecord', 'table', 'parquet')


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataChoice:
  """The data that a command looks at.

  Attributes:
    data: a source, a TFDS name, folders or files; None: that of the run.
    data_dir: where TFDS data sets are prepared.
    limit: at most so many images of each split.
    changes: keys of the section `data` with other values.
  """

  data: Paths | None = None
  data_dir: str | None = None
  limit: int | None = None
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    """Raises `UserError` for a limit that leaves nothing."""
    if self.limit is not None and self.limit < 1:
      raise UserError(f'--limit is {self.limit}; it must be at least 1')

  def section(self, workdir: Workdir) -> dict[str, Any]:
    """Returns the section `data` of the training split.

    Args:
      workdir: workdir of the run whose data are the default.

    Raises:
      UserError: if there is no `data` and the workdir has no run.
    """
    chosen = self._of_run(workdir)
    if self.data:
      given = defaults.data_section(self.data)
      # The run knows more of its data than their name says.
      if not chosen or data_place(chosen) != data_place(given):
        chosen = given
    if not chosen:
      raise UserError(
        f'{str(workdir.path)!r} holds no training run; give --data '
        'NAME_OR_FOLDER'
      )
    if self.data_dir:
      if chosen['name'] in data.SOURCES:
        raise UserError(
          f'--data_dir is for TFDS data sets; {chosen["name"]!r} takes none'
        )
      chosen['data_dir'] = self.data_dir
    return {**chosen, **self.changes}

  def _of_run(self, workdir: Workdir) -> dict[str, Any]:
    """Returns the section `data` that a run is evaluated on, if there is one.

    Imported weights have a config, and no data in it.
    """
    if not workdir.config_path.exists():
      return {}
    return build.eval_data_section(workdir.read_config())

  def _is_other(self, workdir: Workdir) -> bool:
    """Whether it is not the data of the run."""
    own = self._of_run(workdir)
    return not own or data_place(own) != data_place(self.section(workdir))

  def test_split(self, workdir: Workdir) -> str:
    """Returns the test split of training and test: the run's, or `test`."""
    if self._is_other(workdir):
      return 'test'
    return workdir.read_config()['eval']['split']

  def one_split(self, workdir: Workdir) -> str:
    """Returns the split to look at: as `test_split`, or all of another file."""
    is_file = self.data and data.pair_source(self.data) is not None
    held_out = self.section(workdir).get('test_fraction')
    if is_file and (self._is_other(workdir) or not held_out):
      return 'all'
    return self.test_split(workdir)

  def whole_split(self, workdir: Workdir) -> str | None:
    """Returns the split with all records; None for that of training."""
    return 'all' if self.section(workdir)['name'] in _WITH_ALL else None

  def open(self, workdir: Workdir, split: str | None) -> tuple[Source, str]:
    """Opens a split to look at.

    Args:
      workdir: workdir of the run whose data are the default.
      split: its name; None: `one_split`, or the training split where there is
        no such one.

    Returns:
      Its records and its name.

    Raises:
      UserError: if it cannot be opened.
    """
    section = self.section(workdir)
    wanted = split or self.one_split(workdir)
    try:
      return data.make_source(**{**section, 'split': wanted}), wanted
    except UserError as error:
      own = section.get('split', 'train')
      if split or own == wanted:
        raise
      source = data.make_source(**section)
      _log.info('%s; these are pictures of split %r', error, own)
      return source, own


def data_name(chosen: dict[str, Any]) -> str:
  """Returns a short name for files: of the source, or of its folder."""
  names = [pathlib.Path(n).name for n in several(chosen.get('path') or [])]
  if not names:
    return chosen['name']
  return names[0] if len(names) == 1 else f'{names[0]}_and_{len(names) - 1}'


def data_place(chosen: Mapping[str, Any]) -> str:
  """Returns what tells data of one short name apart: where they lie.

  Args:
    chosen: a section `data`.
  """
  path = chosen.get('path')
  if path is None:  # of a mixture it is all of its parts
    kept = {k: v for k, v in chosen.items() if k not in ('split', 'data_dir')}
    return json.dumps(kept, sort_keys=True, default=str)
  return '\n'.join(absolute(path))


def absolute(paths: Paths) -> list[str]:
  """Returns where paths lie, whatever the folder at hand; sorted."""
  return sorted(map(places.absolute, several(paths)))


def open_set(
  text: str, *, data_dir: str | None, like: Mapping[str, Any]
) -> Source:
  """Opens `DATA` or `DATA:SPLIT`; without a split the test pictures.

  Of a folder or file without splits of its own these are all.

  Args:
    text: what is opened.
    data_dir: where TFDS data sets are prepared.
    like: a section `data`; a file of the same kind is read as that one is
      (captions, label).

  Raises:
    UserError: if it cannot be opened, or has no labels.
  """
  named = _WITH_SPLIT.fullmatch(text)
  if named:
    name, split = named.groups()
  else:
    is_file = data.pair_source(text) is not None
    name, split = text, 'all' if is_file else 'test'
  section = {**defaults.data_section(name), 'split': split}
  if data.pair_source(name) and section['name'] == like['name']:
    section = {**section, **like, 'path': section['path'], 'split': split}
  if data_dir and section['name'] not in data.SOURCES:
    section['data_dir'] = data_dir
  source = _opened(section, is_split_named=named is not None)
  if source.class_names is None:
    raise UserError(
      f'{source.name} has no labels, so nothing is right or wrong'
    )
  return source


def _opened(section: dict[str, Any], *, is_split_named: bool) -> Source:
  if is_split_named or 'test_fraction' not in section:
    return data.make_source(**section)
  # Nothing of a set was trained on, so nothing is held out.
  section = {**section, 'test_fraction': 0.0}
  try:
    return data.make_source(**section)
  except UserError:
    return data.make_source(**{**section, 'split': 'all'})


def batches(
  source: Source, exported: ExportedEncoder, *, limit: int | None
) -> Iterator[dict[str, Any]]:
  """Returns evaluation batches of pictures as the encoder wants them.

  Args:
    source: what is read.
    exported: the encoder, which knows how its pictures are prepared.
    limit: so many records at most; None for all.
  """
  return data.eval_batches(
    source, batch_size=256, preprocessing=exported.preprocessing, limit=limit
  )
