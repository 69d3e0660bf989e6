"""Arrays by name in one file of NumPy's, `.npz`, that is read whole or not."""

from collections.abc import Mapping

import numpy as np

from jaxssl import atomic_file
from jaxssl.paths import Path


class DamagedError(ValueError):
  """A file that is no `.npz`, or not the one that was written."""


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays; a reader sees the old file or the new one, never a part.

  Raises:
    jaxssl.errors.UserError: if the file system refuses.
  """
  # NumPy spells its option out, or the checker takes an array for it.
  atomic_file.write(
    path, lambda file: np.savez(file, allow_pickle=False, **arrays)
  )


def read(path: Path) -> dict[str, np.ndarray]:
  """Reads all arrays of a file, each of which the format has a checksum for.

  Raises:
    OSError: if the file cannot be opened.
    DamagedError: if it is damaged.
  """
  # np.load(path) leaves a damaged file open.
  with path.open('rb') as opened:
    try:
      # No pickle: it could run code.
      with np.load(opened, allow_pickle=False) as file:
        return dict(file)
    # Of zipfile, zlib, struct, tokenize, NumPy: whatever the bytes look like.
    except Exception as error:
      raise DamagedError(f'{type(error).__name__}: {error}') from error
