"""Folders and files of this machine, or of an object store (`gs://...`).

An object store has no append, no rename and no lock: an object is written
whole, and is there when that is done. `pathlib.Path` and `etils.epath.Path`
have the same methods for all the rest.
"""

from collections.abc import Generator
import contextlib
import os
import pathlib
import re
import shutil
import tempfile

from etils import epath

from jaxssl.errors import UserError

# Or etils takes TensorFlow for a store, which has errors and caches of its own.
# Here and not where a store is used: etils looks once.
os.environ.setdefault('EPATH_USE_TF', 'false')

Path = pathlib.Path | epath.Path

_SCHEME = re.compile(r'([a-z][a-z0-9+.-]*)://')
# Whose exceptions mean that a store was not reached or did not allow it.
_CLIENTS = ('gcsfs', 'google', 'aiohttp', 'fsspec')


def is_remote(path: str | bytes | os.PathLike[str]) -> bool:
  """Tells whether a path names a place that is not of this file system."""
  return bool(_SCHEME.match(os.fsdecode(path)))


def make_path(path: str | os.PathLike[str]) -> Path:
  """Returns a path whose methods work wherever it lies.

  Args:
    path: path on this machine, or `gs://bucket/...`.

  Raises:
    UserError: for another store, or if the library for it is not installed.
  """
  if not is_remote(path):
    return pathlib.Path(path)
  text = os.fspath(path)
  if not text.startswith('gs://'):
    raise UserError(
      f'{text!r}: a workdir lies on this machine, on a mounted disk, or on '
      'gs://'
    )
  use_gcs(text)
  return epath.Path(text)


def check_name(path: Path) -> None:
  """Makes sure that a folder has a name that checkpoints can be kept under.

  Orbax looks for its files with patterns that begin with the folder's own name,
  and TensorStore takes names in UTF-8 alone.

  Raises:
    UserError: if a part of the path would be taken for a pattern, or is not
      UTF-8.
  """
  text = str(absolute(path))
  found = sorted(set(text) & set('*?['))
  if found:
    raise UserError(
      f'{str(path)!r}: checkpoints cannot be kept in a folder with '
      f'{" or ".join(found)} in its path; choose another name'
    )
  try:
    text.encode()
  except UnicodeEncodeError as error:
    raise UserError(
      f'{str(path)!r}: checkpoints cannot be kept in a folder whose path is '
      'not UTF-8; choose another name'
    ) from error


def absolute(path: Path) -> Path:
  """Returns the path from the root of its file system."""
  return path if is_remote(path) else path.absolute()


def use_gcs(path: str) -> None:
  """Prepares the client for `gs://`, of this package, etils and Orbax.

  Raises:
    UserError: if it is not installed.
  """
  import fsspec
  from fsspec import config as fsspec_config

  try:
    fsspec.get_filesystem_class('gs')
  except ImportError as error:
    raise UserError(
      f'{path}: gs:// needs a library; pip install "jaxssl[gcs]"'
    ) from error
  # What other processes have written meanwhile must be seen.
  fsspec_config.conf.setdefault('gs', {})['use_listings_cache'] = False


@contextlib.contextmanager
def local_copy(path: Path) -> Generator[pathlib.Path]:
  """Gives a file of this machine with the content of a file.

  The file itself where it is of this machine; otherwise a copy, which is gone
  afterwards (what is mapped into memory stays).

  Raises:
    OSError: if it cannot be read.
  """
  if not is_remote(path):
    yield pathlib.Path(path)
    return
  with tempfile.NamedTemporaryFile(suffix=path.suffix) as file:
    with path.open('rb') as source:
      shutil.copyfileobj(source, file)
    file.flush()
    yield pathlib.Path(file.name)


def is_of_store(error: BaseException) -> bool:
  """Tells whether an exception comes from the client of an object store."""
  return type(error).__module__.partition('.')[0] in _CLIENTS
