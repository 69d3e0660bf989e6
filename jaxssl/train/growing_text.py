"""Text files that grow while a run goes on.

An object of a store cannot be appended to, so there the whole is written anew:
seldom, because each time costs a request and all that is there already, and
before each checkpoint, so that no line of a finished step is ever missing.
"""

import os
import time
from typing import Protocol

from jaxssl import atomic_file
from jaxssl.paths import Path, is_remote

SECONDS = 30.0  # between two writes to a store that nobody asked for


class GrowingText(Protocol):
  """A text file that is added to."""

  def write(self, text: str) -> None:
    """Adds a text."""

  def flush(self) -> None:
    """Brings it to the file soon."""

  def sync(self) -> None:
    """Brings it to the file now, so that it survives this machine.

    Raises:
      OSError: if a file on this machine cannot be written.
      jaxssl.errors.UserError: the same of a store.
    """

  def close(self) -> None:
    """Like `sync`, and ends."""


def open_text(path: Path) -> GrowingText:
  """Opens a text, or begins it where there is none.

  Raises:
    OSError: if it cannot be opened.
  """
  return _Stored(path) if is_remote(path) else _Local(path)


class _Local:
  def __init__(self, path: Path):
    self._file = path.open('a')

  def write(self, text: str) -> None:
    self._file.write(text)

  def flush(self) -> None:
    self._file.flush()

  def sync(self) -> None:
    self._file.flush()
    # What is flushed and no more lies with the kernel, and goes with the power.
    os.fsync(self._file.fileno())

  def close(self) -> None:
    self._file.close()


class _Stored:
  def __init__(self, path: Path):
    self._path = path
    self._parts = [path.read_bytes()] if path.exists() else []
    self._is_new, self._written = False, time.monotonic()

  def write(self, text: str) -> None:
    self._parts.append(text.encode())
    self._is_new = True

  def flush(self) -> None:
    if time.monotonic() - self._written >= SECONDS:
      self.sync()

  def sync(self) -> None:
    if self._is_new:
      atomic_file.write(self._path, lambda file: file.writelines(self._parts))
      self._is_new = False
    self._written = time.monotonic()

  def close(self) -> None:
    self.sync()
