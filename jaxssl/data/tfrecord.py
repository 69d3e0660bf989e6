"""Random access to the records of TFRecord files.

A TFRecord file is a sequence of: length (uint64), checksum of the length
(uint32), data, checksum of the data (uint32). Reading only the lengths gives
the place of every record. The checksums of the lengths are verified then, those
of the data when a record is read.
"""

from collections.abc import Sequence
import os
from typing import BinaryIO

import numpy as np

from jaxssl.data import remote
from jaxssl.data.crc32c import crc32c, masked, masked_of_rows
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

_LENGTH = 8
_HEADER = 12
FOOTER = 4
_BLOCK = 1 << 24


class TFRecords:
  """Records of several files, in their order.

  Files of this machine stay open and are read by `os.pread`, which threads can
  share.

  Args:
    paths: TFRecord files.

  Attributes:
    lengths: number of records of each file.
    checksums: checksums of the data of each record, as they are stored, uint32
      [n].

  Raises:
    UserError: if a file is missing, cut short or damaged.
  """

  def __init__(self, paths: Sequence[str]):
    found = [record_places(path) for path in paths]
    places = [place for place, _ in found]
    self.checksums = np.concatenate([checksums for _, checksums in found])
    self._paths = list(paths)
    self._files = [
      os.open(path, os.O_RDONLY) for path in paths if not is_remote(path)
    ]
    self.lengths = [len(place) for place in places]
    self._file = np.repeat(np.arange(len(paths)), self.lengths)
    self._place = np.concatenate(places)

  def __len__(self) -> int:
    return len(self._file)

  def __del__(self) -> None:
    for file in getattr(self, '_files', ()):
      os.close(file)

  def read(self, indices: np.ndarray) -> list[bytes]:
    """Returns the serialized records, empty where they are damaged."""
    files, places = self._file[indices].tolist(), self._place[indices]
    starts, sizes = places[:, 0].tolist(), (places[:, 1] + FOOTER).tolist()
    if not self._files:
      ends = [start + size for start, size in zip(starts, sizes, strict=True)]
      paths = [self._paths[file] for file in files]
      return list(map(verified, remote.read_places(paths, starts, ends)))
    return [
      verified(os.pread(self._files[file], size, start))
      for file, start, size in zip(files, starts, sizes, strict=True)
    ]


def _opened(path: str) -> BinaryIO:
  if is_remote(path):
    return remote.open_binary(path)
  return open(path, 'rb', buffering=_BLOCK)


def record_places(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns offset and size of each record of a file, int64 [n, 2].

  The checksums of all lengths are verified, those of the data are not: for that
  see `verified`.

  Returns:
    `(places, checksums)`: the latter as they are stored with the data of each
    record, uint32 [n].

  Raises:
    UserError: if the file is missing, cut short or damaged.
  """
  offsets, headers, checksums = [], [], []
  try:
    end = remote.size(path)
    with _opened(path) as file:
      offset, header = 0, file.read(_HEADER)
      while len(header) == _HEADER:
        offsets.append(offset + _HEADER)
        headers.append(header)
        offset = offsets[-1] + int.from_bytes(header[:_LENGTH], 'little')
        if offset + FOOTER > end:
          break
        file.seek(offset)
        # The checksum of the data lies beside the length of the next record.
        both = file.read(FOOTER + _HEADER)
        checksums.append(both[:FOOTER])
        offset, header = offset + FOOTER, both[FOOTER:]
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error
  sizes = _sizes(headers, offsets, path)
  if offset != end:
    raise UserError(f'{path} is cut short or is no TFRecord file')
  places = np.stack([np.array(offsets, np.int64), sizes], axis=1)
  return places, np.frombuffer(b''.join(checksums), '<u4')


def _sizes(
  headers: Sequence[bytes], offsets: Sequence[int], path: str
) -> np.ndarray:
  """Returns the lengths of records, int64 [n], after checking them."""
  rows = np.frombuffer(b''.join(headers), np.uint8).reshape(-1, _HEADER)
  found = masked_of_rows(rows[:, :_LENGTH])
  stored = np.ascontiguousarray(rows[:, _LENGTH:]).view('<u4')[:, 0]
  wrong = np.flatnonzero(found != stored)
  if wrong.size:
    raise UserError(
      f'{path} is damaged at byte {offsets[wrong[0]] - _HEADER} (the checksum '
      'of a length), or is no uncompressed TFRecord file'
    )
  return np.ascontiguousarray(rows[:, :_LENGTH]).view('<i8')[:, 0]


def verified(record: bytes) -> bytes:
  """Returns the data of a record, without the checksum behind them.

  Args:
    record: data and checksum, `FOOTER` bytes longer than the data.

  Returns:
    The data; nothing if they do not fit the checksum, which is handled like any
    other unreadable record.
  """
  data, footer = record[:-FOOTER], record[-FOOTER:]
  fits = masked(crc32c(data)) == int.from_bytes(footer, 'little')
  return data if len(footer) == FOOTER and fits else b''
