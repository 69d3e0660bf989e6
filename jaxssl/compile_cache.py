"""Compiled programs kept on disk, in a folder of this user alone.

A program from the cache is run as it lies there, so whoever can write to the
folder can run code as this user. It is therefore never shared by accident.
"""

import logging
import os
import pathlib
import stat
from typing import Any

import jax

from jaxssl.errors import UserError

_log = logging.getLogger(__name__)
_OFF = 'or switch the cache off by JAX_ENABLE_COMPILATION_CACHE=false'


def enable() -> None:
  """Makes JAX keep what takes it more than a second to compile.

  The folder is that of `JAX_COMPILATION_CACHE_DIR`, or `jaxssl/xla` in
  `XDG_CACHE_HOME`, or in `~/.cache`. Nothing happens with
  `JAX_ENABLE_COMPILATION_CACHE=false`. A folder behind a URL (`gs://`) is
  guarded by its own rights and not looked at. Without a home, or with one that
  cannot be written, there is a warning and no cache.

  Raises:
    UserError: the folder is of another user, or others may write to it; one
      that the user has named cannot be made.
  """
  # JAX defines its options while it is imported, so no checker knows them.
  options: Any = jax.config
  if not options.jax_enable_compilation_cache:
    return
  given = options.jax_compilation_cache_dir
  if given and '://' in given:
    return
  folder = pathlib.Path(given) if given else _usable_default()
  if folder is None:
    return
  _make_private(folder)
  jax.config.update('jax_compilation_cache_dir', str(folder))


def default_folder() -> pathlib.Path:
  """Returns where programs are kept unless the environment says another."""
  base = os.environ.get('XDG_CACHE_HOME')
  # As the XDG specification asks, a relative path does not count.
  if not base or not os.path.isabs(base):
    base = pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'jaxssl' / 'xla'


def _usable_default() -> pathlib.Path | None:
  try:
    folder = default_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
      return folder
    reason = f'{folder} cannot be written'
  except (OSError, RuntimeError) as error:  # the latter: there is no home
    reason = str(error)
  _log.warning(
    'compiled programs are not kept (%s); JAX_COMPILATION_CACHE_DIR names a '
    'folder for them',
    reason,
  )
  return None


def _make_private(folder: pathlib.Path) -> None:
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
  except OSError as error:
    raise UserError(
      f'no cache of compiled programs in {folder} ({error.strerror}); set '
      f'JAX_COMPILATION_CACHE_DIR to a folder of yours, {_OFF}'
    ) from error
  if found.st_uid != os.geteuid():
    raise UserError(
      f'the cache of compiled programs {folder} belongs to another user, who '
      f'could run code as you; set JAX_COMPILATION_CACHE_DIR, {_OFF}'
    )
  if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
    raise UserError(
      f'others may write to the cache of compiled programs {folder} and so run '
      f'code as you; chmod 700 {folder}, {_OFF}'
    )
