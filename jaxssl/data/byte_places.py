"""Reads records at their places in files, here or in a store."""

from collections.abc import Sequence
import os

import numpy as np

from jaxssl.data import remote
from jaxssl.paths import is_remote


def read_places(
  paths: Sequence[str], places: np.ndarray, most: int | None = None
) -> list[bytes]:
  """Returns the bytes at some places of files.

  Args:
    paths: the file of each place, all here or all of one store; at least one.
    places: offset and size, int64 [b, 2].
    most: so many first bytes of each; None for all.

  Returns:
    What is there; nothing where it cannot be read, which is handled like any
    other unreadable record.
  """
  if most is not None:
    places = np.minimum(places, [np.iinfo(np.int64).max, most])
  if is_remote(paths[0]):
    starts, sizes = places.T.tolist()
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return remote.read_places(paths, starts, ends)
  rows: dict[str, list[int]] = {}
  for row, path in enumerate(paths):
    rows.setdefault(path, []).append(row)
  found = [b''] * len(paths)
  for path in sorted(rows):
    contents = _read_file(path, places[rows[path]])
    for row, content in zip(rows[path], contents, strict=True):
      found[row] = content
  return found


def _read_file(path: str, places: np.ndarray) -> list[bytes]:
  """Returns the bytes at some places of a file of this machine."""
  try:
    with open(path, 'rb', buffering=0) as file:
      return [
        os.pread(file.fileno(), size, offset)
        for offset, size in places.tolist()
      ]
  except OSError:
    return [b''] * len(places)
