"""Random access to the records of TFRecord files.

A TFRecord file is a sequence of: length (uint64), checksum of the length
(uint32), data, checksum of the data (uint32). Reading only the lengths gives
the place of every record. The checksums are not verified: a damaged picture
shows when it is decoded.
"""

from collections.abc import Sequence
import os
from typing import BinaryIO

import numpy as np

from jaxssl.data import remote
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

_HEADER = 12
_FOOTER = 4
_BLOCK = 1 << 24


class TFRecords:
  """Records of several files, in their order.

  Files of this machine stay open and are read by `os.pread`, which threads can
  share.

  Args:
    paths: TFRecord files.

  Attributes:
    lengths: number of records of each file.

  Raises:
    UserError: if a file is missing or cut short.
  """

  def __init__(self, paths: Sequence[str]):
    places = [record_places(path) for path in paths]
    self._paths = list(paths)
    self._files = [
      os.open(path, os.O_RDONLY) for path in paths if not is_remote(path)
    ]
    self.lengths = [len(place) for place in places]
    self._file = np.repeat(np.arange(len(paths)), self.lengths)
    self._place = np.concatenate(places)

  def __len__(self) -> int:
    return len(self._file)

  def __del__(self):
    for file in getattr(self, '_files', ()):
      os.close(file)

  def read(self, indices: np.ndarray) -> list[bytes]:
    """Returns the serialized records."""
    files, places = self._file[indices].tolist(), self._place[indices]
    if not self._files:
      return remote.read_places(
        [self._paths[file] for file in files],
        places[:, 0].tolist(),
        places.sum(axis=1).tolist(),
      )
    return [
      os.pread(self._files[file], size, offset)
      for file, (offset, size) in zip(files, places.tolist(), strict=True)
    ]


def _opened(path: str) -> BinaryIO:
  if is_remote(path):
    return remote.open_binary(path)
  return open(path, 'rb', buffering=_BLOCK)


def record_places(path: str) -> np.ndarray:
  """Returns offset and size of each record of a file, int64 [n, 2].

  Raises:
    UserError: if the file is missing or cut short.
  """
  places = []
  try:
    end = remote.size(path)
    with _opened(path) as file:
      offset = 0
      while offset < end:
        size = int.from_bytes(file.read(_HEADER)[:8], 'little')
        places.append((offset + _HEADER, size))
        offset += _HEADER + size + _FOOTER
        file.seek(offset)
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error
  if offset != end:
    raise UserError(f'{path} is cut short or is no TFRecord file')
  return np.array(places, np.int64).reshape(-1, 2)
