"""Where a command may write; checked before its work, not after."""

import os
import pathlib

from jaxssl.errors import UserError
from jaxssl.paths import Path


def refuse_existing(folder: Path) -> None:
  """Raises `UserError` unless `folder` is absent or an empty folder."""
  try:
    taken = folder.exists() and any(folder.iterdir())
  except NotADirectoryError:
    taken = True
  except OSError as error:
    raise UserError(f'cannot read {str(folder)!r}: {error.strerror}') from error
  if taken:
    raise UserError(
      f'{str(folder)!r} exists and is not an empty folder; nothing is '
      'overwritten, choose another'
    )


def check_file(path: pathlib.Path, *, suffix: str, flag: str = '--out') -> None:
  """Checks that a file of this name can be written.

  Args:
    path: the file.
    suffix: its ending.
    flag: where it was given, for messages.

  Raises:
    UserError: if it has another ending, or its folder cannot be written.
  """
  if path.suffix != suffix:
    raise UserError(f'{flag} must end in {suffix}, got {str(path)!r}')
  folder = next(p for p in path.absolute().parents if p.exists())
  if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
    raise UserError(f'cannot write {str(path)!r}; choose another {flag}')
