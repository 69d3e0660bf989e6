"""The table of sources, and how a section of a config becomes one of them."""

from collections.abc import Callable, Mapping, Sequence
import importlib.util
import inspect
import os
from typing import Any

from jaxssl.data import chosen, not_read, tfds_source
from jaxssl.data import parquet as parquet_lib
from jaxssl.data.collages import Collages
from jaxssl.data.digits import digits
from jaxssl.data.folder import Folder
from jaxssl.data.misspelt import misspelt
from jaxssl.data.mixture import Mixture
from jaxssl.data.motorcycle import Motorcycle
from jaxssl.data.parquet import parquet
from jaxssl.data.photos import photos
from jaxssl.data.shapes import Shapes
from jaxssl.data.source import Source
from jaxssl.data.stored_pairs import is_folder, pairs
from jaxssl.data.table import ENDINGS, Table
from jaxssl.data.tar import tar
from jaxssl.data.tfrecord_pairs import tfrecord
from jaxssl.errors import UserError, unknown
from jaxssl.paths import is_remote


def _mixture(
  *,
  sources: Sequence[Mapping[str, Any]],
  weights: Sequence[float] | None = None,
  split: str | None = None,
) -> Mixture:
  """Makes a mixture of sources.

  Args:
    sources: sections `data`, each with its `name`.
    weights: shares of the records, one per source; by default in proportion to
      the numbers of records.
    split: split of every source whose section names none.

  Raises:
    UserError: if `sources` is not a list of sections.
  """
  if isinstance(sources, str) or not all(
    isinstance(section, Mapping) and 'name' in section for section in sources
  ):
    raise UserError(
      "mixture: sources is a list of sections such as [{'name': 'photos'}], "
      f'not {sources!r}'
    )
  common = {} if split is None else {'split': split}
  made = [make_source(**{**common, **section}) for section in sources]
  return Mixture(made, weights=weights)


SOURCES: dict[str, Callable[..., Source]] = {
  'photos': photos,
  'digits': digits,
  'shapes': Shapes,
  'collages': Collages,
  'motorcycle': Motorcycle,
  'folder': Folder,
  'mixture': _mixture,
  'pairs': pairs,
  'tar': tar,
  'tfrecord': tfrecord,
  'table': Table,
  'parquet': parquet,
}
# Files that are sources of many records, by their ending.
PAIR_FILES = {
  '.tar': 'tar',
  '.tfrecord': 'tfrecord',
  parquet_lib.ENDING: 'parquet',
} | dict.fromkeys(ENDINGS, 'table')


def make_source(name: chosen.Paths, **kwargs: Any) -> Source:
  """Makes a source from the section of a config.

  Args:
    name: a key of `SOURCES`; or a path, or several, of folders of pictures and
      what else `Folder` takes, or of files of image-text pairs (`PAIR_FILES`);
      or the name of a TFDS data set.
    **kwargs: arguments of that source.

  Returns:
    The source.

  Raises:
    UserError: for an unknown name or argument, or data that is not there.
  """
  kind = None if 'data_dir' in kwargs else file_kind(name)
  if kind is not None:
    return make_source(kind, **{'path': name, **kwargs})
  (name,) = chosen.several(name)
  if name in SOURCES:
    return _call(name, SOURCES[name], kwargs)
  if not _is_tfds(name, kwargs.get('data_dir')):
    raise misspelt(name, SOURCES)
  return _call(name, tfds_source.Tfds, {'name': name, **kwargs})


def file_kind(names: chosen.Paths) -> str | None:
  """Returns the source that reads a path, or several; None for another name.

  Raises:
    UserError: if several are not of one kind.
  """
  names = chosen.several(names)
  if not names:
    raise UserError('data is an empty list; give a folder')
  kinds = {_file_kind(name) for name in names}
  if len(names) > 1 and (
    None in kinds or kinds & {'table', 'pairs'} or len(kinds) > 1
  ):
    strange = next((n for n in names if _file_kind(n) is None), None)
    if strange is not None and strange not in SOURCES:
      raise misspelt(strange, SOURCES)
    raise UserError(
      f'{chosen.name_of(names)}: several data are folders, pictures, patterns '
      'and lists of pictures, or tar files, or TFRecord files, or parquet '
      "files; others together are the source 'mixture' of a config"
    )
  return kinds.pop()


def _file_kind(name: str) -> str | None:
  if name in SOURCES:
    return None
  # A folder may be called `birds.tar`.
  is_here = not is_remote(name) and os.path.isdir(os.path.expanduser(name))
  if not is_here and (kind := pair_source(name)):
    return kind
  if is_here and is_folder(name):
    return 'pairs'
  if is_here and parquet_lib.is_folder(name):
    return 'parquet'
  return 'folder' if chosen.is_chosen(name) else None


def pair_source(names: chosen.Paths) -> str | None:
  """Returns the source that reads files of pairs; None for other names."""
  endings = set(map(not_read.ending, chosen.several(names)))
  kinds = {PAIR_FILES.get(ending) for ending in endings}
  return kinds.pop() if len(kinds) == 1 else None


def _is_tfds(name: str, data_dir: str | None) -> bool:
  if tfds_source.is_prepared(name, data_dir):
    return True
  if os.path.isabs(name) or name.startswith(('.', '~')) or is_remote(name):
    return False
  installed = importlib.util.find_spec('tensorflow_datasets') is not None
  return installed and tfds_source.is_known(name)


def _call(
  name: str, constructor: Callable[..., Source], kwargs: dict[str, Any]
) -> Source:
  signature = inspect.signature(constructor)
  for key in kwargs:
    if key not in signature.parameters:
      raise unknown(
        f'argument of data source {name!r}', key, signature.parameters
      )
  try:
    signature.bind(**kwargs)
  except TypeError as error:
    raise UserError(f'data source {name!r}: {error}') from error
  return constructor(**kwargs)
