"""Files that appear whole or not at all."""

from collections.abc import Callable
import os
import pathlib
from typing import BinaryIO

from jaxssl import errors


def write(path: pathlib.Path, fill: Callable[[BinaryIO], object]) -> None:
  """Writes beside the file and renames, so that no reader sees a half.

  The content is on disk before the name is: after a power cut the file is the
  old one or the new one.

  Args:
    path: file to write or replace; its folder is made.
    fill: writes the content into the open file.

  Raises:
    jaxssl.errors.UserError: if the file system refuses.
  """
  # The process id keeps two commands on one run apart.
  partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      with partial.open('wb') as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
      partial.replace(path)
    finally:
      partial.unlink(missing_ok=True)
  except OSError as error:
    raise errors.UserError(
      f'cannot write {path}: {error.strerror or error}; choose a folder that '
      'can be written and has space'
    ) from error


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text in UTF-8, see `write`."""
  write(path, lambda file: file.write(text.encode()))
