"""Files that appear whole or not at all."""

from collections.abc import Callable
import os
import pathlib
from typing import BinaryIO

from jaxssl import errors


def write(path: pathlib.Path, fill: Callable[[BinaryIO], object]) -> None:
  """Writes beside the file and renames, so that no reader sees a half.

  Args:
    path: file to write or replace; its folder is made.
    fill: writes the content into the open file.

  Raises:
    jaxssl.errors.UserError: if the file system refuses.
  """
  # The process id keeps two evaluations of one run apart.
  partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      with partial.open('wb') as file:
        fill(file)
      partial.replace(path)
    finally:
      partial.unlink(missing_ok=True)
  except OSError as error:
    raise errors.UserError(
      f'cannot write {path}: {error.strerror or error}; choose a folder that '
      'can be written and has space'
    ) from error
