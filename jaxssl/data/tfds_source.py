"""Any prepared data set of TensorFlow Datasets, by random access."""

from collections.abc import Sequence
import functools
import os
from typing import Any, Literal

import numpy as np

from jaxssl.data import order, remote
from jaxssl.data.cached_property import cached_property
from jaxssl.data.identity import of_sample
from jaxssl.data.labels import UNKNOWN
from jaxssl.data.optional import require, tensorflow
from jaxssl.data.source import Records, fingerprint
from jaxssl.data.tfrecord import TFRecords
from jaxssl.errors import UserError, unknown
from jaxssl.paths import Path, is_remote, make_path

_DEFAULT_DIR = '~/tensorflow_datasets'


class Tfds:
  """Records of a TFDS data set; pictures stay encoded.

  Works from the prepared files alone, so that also data sets whose builder
  class is not installed can be read. Array record files have an index; one of
  TFRecord files is made by reading the length of each record once.

  Args:
    name: name of the data set, or `name/config`.
    data_dir: folder of prepared data sets, also on `gs://` (TFRecord files);
      None for `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
    split: a split, or part of one as in `'train[:10%]'`.
    version: such as `'1.0.0'`; None for the newest prepared one.
    download: download and prepare what is not there.
    image: feature that holds the picture; None for the one that its
      `supervised_keys` name, or the first.

  Raises:
    UserError: if the data set is not prepared (the message names the command
      that does it), or has no picture, no such split or version.
  """

  content: Literal['bytes'] = 'bytes'
  captions = None

  def __init__(
    self,
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = 'train',
    version: str | None = None,
    download: bool = False,
    image: str | None = None,
  ):
    root = make_path(
      data_dir or os.environ.get('TFDS_DATA_DIR') or _DEFAULT_DIR
    ).expanduser()
    folder = _prepared(root / name, version)
    if folder is None and download:
      folder = _prepare(name, root)
    if folder is None:
      raise UserError(
        f'data set {name!r} is not prepared in {root}; run "tfds build '
        f'{name} --data_dir {root}", or set download=True'
      )
    self.name = f'{name}/{split}'
    info = _tfds().builder_from_directory(str(folder)).info
    self._image, self._label = _keys(name, info, image)
    self._records = _Slices(self.name, info, split)
    self.num_examples = len(self._records)
    self.class_names = None
    if self._label is not None:
      self.class_names = tuple(info.features[self._label].names)
    self._version = f'{name}/{info.version}/{split}'
    if image is not None:
      self._version += f'/{image}'

  @cached_property
  def identity(self) -> str:
    """Hash of what copies of it share; see `source.Source`."""
    return fingerprint(
      self._version,
      *self._records.parts,
      self._records.checksums,
      of_sample(self.num_examples, self._records.read),
    )

  @cached_property
  def fingerprint(self) -> str:
    """Hash that also changes when a file is written again."""
    return fingerprint(self.identity, *self._records.states)

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    parse = tensorflow().train.Example.FromString
    content = np.empty(len(indices), object)
    label = np.full(len(indices), -1, np.int32)
    for row, record in enumerate(self._records.read(indices)):
      values = parse(record).features.feature
      # A damaged record is empty, and what it lacks is too.
      content[row] = _first(values[self._image].bytes_list, b'')
      if self._label is not None:
        label[row] = _first(values[self._label].int64_list, UNKNOWN)
    return Records(content=content, label=label)

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    return f'{self.name}[{index}]'


def _first(values: Any, default: Any) -> Any:
  return values.value[0] if values.value else default


class _Slices:
  """The records of a split, which may be pieces of several files."""

  def __init__(self, name: str, info: Any, split: str):
    try:
      pieces = info.splits[split].file_instructions
    # TFDS raises KeyError or ValueError according to what is wrong.
    except (KeyError, ValueError) as error:
      raise unknown(f'split of {name}', split, info.splits) from error
    paths = [str(piece.filename) for piece in pieces]
    missing = [path for path in paths if not make_path(path).exists()]
    if missing or not paths:
      raise UserError(f'{name}: no file {missing[0] if missing else split}')
    self.parts = [
      f'{os.path.basename(p)}:{remote.size(p)}:{piece.skip}:{piece.take}'
      for p, piece in zip(paths, pieces, strict=True)
    ]
    self.states = [remote.written(path) for path in paths]
    self._files, lengths, self.checksums = _open(paths, info.file_format.value)
    _check_lengths(paths, pieces, lengths)
    starts = np.cumsum([0, *lengths[:-1]])
    ends = [
      length if piece.take < 0 else piece.skip + piece.take
      for piece, length in zip(pieces, lengths, strict=True)
    ]
    self._indices = np.concatenate(
      [
        np.arange(start + piece.skip, start + end)
        for start, piece, end in zip(starts, pieces, ends, strict=True)
      ]
    )

  def __len__(self) -> int:
    return len(self._indices)

  def read(self, indices: np.ndarray) -> list[bytes]:
    return self._files(self._indices[indices])


def _check_lengths(
  paths: list[str], pieces: Sequence[Any], lengths: Sequence[int]
) -> None:
  """Raises `UserError` if a file has more or fewer records than it should."""
  for path, piece, length in zip(paths, pieces, lengths, strict=True):
    if length != piece.examples_in_shard:
      raise UserError(
        f'{path} holds {length} records, and its data set says '
        f'{piece.examples_in_shard}; copy or prepare it again'
      )


def _open(
  paths: list[str], file_format: str
) -> tuple[Any, list[int], np.ndarray]:
  """Returns what reads records by number, lengths of files, and checksums."""
  if file_format == 'array_record' and is_remote(paths[0]):
    raise UserError(
      f'{paths[0]}: array_record is read from a disk; prepare the data set as '
      'tfrecord, or copy it'
    )
  if file_format == 'array_record':
    module = 'array_record.python.array_record_data_source'
    make = require(module, extra='data').ArrayRecordDataSource
    source = make(paths)
    lengths = [len(make([path])) for path in paths]
    no_checksums = np.zeros(0, np.uint32)  # the library verifies its own
    read = functools.partial(_array_records, source)
    return read, lengths, no_checksums
  if file_format == 'tfrecord':
    records = TFRecords(paths)
    return records.read, records.lengths, records.checksums
  raise UserError(
    f'{paths[0]}: format {file_format!r} has no random access; prepare the '
    'data set as array_record or tfrecord'
  )


def _array_records(source: Any, indices: np.ndarray) -> list[bytes]:
  """Returns records, empty where they are damaged."""
  try:
    return list(source.__getitems__(indices.tolist()))
  # Of one damaged record all that are read together are refused.
  except RuntimeError:
    if len(indices) == 1:
      return [b'']
    parts = np.split(indices, len(indices))
    return [record for i in parts for record in _array_records(source, i)]


def _tfds() -> Any:
  tensorflow()
  return require('tensorflow_datasets', extra='data')


def _prepared(folder: Path, version: str | None) -> Path | None:
  found = [path.parent for path in folder.glob('*/dataset_info.json')]
  if version is not None:
    found = [path for path in found if path.name == version]
  return max(found, key=lambda path: _version(path.name), default=None)


def _version(name: str) -> tuple[int, ...]:
  return tuple(int(part) if part.isdigit() else -1 for part in name.split('.'))


def is_known(name: str) -> bool:
  """Tells whether TFDS has a builder class of this name."""
  tfds = _tfds()
  try:
    tfds.builder_cls(name.split('/')[0])
  except (tfds.core.registered.DatasetNotFoundError, ValueError):
    return False
  return True


def is_prepared(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
  """Tells whether a data set lies ready in a folder."""
  return data_dir is not None and (
    _prepared(make_path(data_dir).expanduser() / name, None) is not None
  )


def _prepare(name: str, root: Path) -> Path:
  builder = _tfds().builder(name, data_dir=str(root), try_gcs=False)
  builder.download_and_prepare(file_format='array_record')
  return make_path(builder.data_dir)


def _keys(name: str, info: Any, wanted: str | None) -> tuple[str, str | None]:
  """Returns the names of the picture and of the label in a record."""
  features = _tfds().features
  kinds = dict(info.features.items())
  images = [k for k, v in kinds.items() if isinstance(v, features.Image)]
  labels = [k for k, v in kinds.items() if isinstance(v, features.ClassLabel)]
  preferred = info.supervised_keys or ()
  if not images:
    raise UserError(f'{name} has no picture; its features: {", ".join(kinds)}')
  if wanted is not None and wanted not in images:
    raise unknown(f'picture of {name}', wanted, images)
  # Features have no order. A picture of one channel may be a mask.
  images.sort(key=lambda key: (kinds[key].shape[-1] == 1, key))
  image = wanted or next((k for k in preferred if k in images), images[0])
  label = next((k for k in labels if k in preferred), None)
  if label is None and len(labels) == 1:
    label = labels[0]
  return image, label
