"""Indices of files, made once and kept in the user's cache folder."""

from collections.abc import Callable
import hashlib
import logging
import os
import pathlib

from jaxssl.data import remote
from jaxssl.data.shard_index import ShardIndex
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

_log = logging.getLogger(__name__)
# In the name of every kept index: a change of what is indexed is a new number.
_VERSION = 5
DAMAGE = (OSError, ValueError, KeyError, TypeError)

Scan = Callable[[str], ShardIndex]


def cache_folder() -> pathlib.Path:
  """Where indices are kept: `$XDG_CACHE_HOME/jaxssl`, or `~/.cache/jaxssl`."""
  base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  return pathlib.Path(base).expanduser() / 'jaxssl'


def of_file(path: str, state: str, scan: Scan, settings: str) -> ShardIndex:
  """Reads the kept index of a file, or makes and keeps it.

  Args:
    path: the file.
    state: what `state_of` says of it.
    scan: makes its index.
    settings: all that `scan` depends on besides the file.

  Raises:
    UserError: if the file cannot be read.
  """
  kept = place(path, state, settings)
  if kept.exists():
    try:
      return ShardIndex.load(kept)
    except DAMAGE as e:
      _log.warning('%s is damaged (%s); reading %s again', kept, e, path)
  index = scan(path)
  try:
    index.save(kept)
  except UserError as error:
    _log.warning('the index of %s is not kept: %s', path, error)
  return index


def place(path: str, state: str, settings: str) -> pathlib.Path:
  """Returns where the index of a file in a state is kept."""
  where = path if is_remote(path) else os.path.abspath(path)
  words = repr((_VERSION, where, state, settings))
  digest = hashlib.sha256(words.encode())
  return cache_folder() / f'shard-{digest.hexdigest()[:32]}.npz'


def state_of(path: str) -> str:
  """Returns what changes when a file does.

  Raises:
    UserError: if there is no such file.
  """
  try:
    return f'{remote.size(path)} {remote.written(path)}'
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error
