"""Pictures in parquet files, where they lie between other columns.

A row group is the least that parquet reads. Where its pictures are compressed,
all of them are read for one, and kept in memory; where they are not, the file
holds each as it is, and its place is as good as that in a tar file.
"""

import collections
from collections.abc import Generator, Sequence
import contextlib
import itertools
import threading
from typing import Any

import numpy as np

from jaxssl.data import remote
from jaxssl.data.byte_places import read_places
from jaxssl.data.optional import require
from jaxssl.errors import UserError

# A value is searched for by its length and its first bytes.
_LENGTH = 4
_PREFIX = 60


@contextlib.contextmanager
def opened(path: str) -> Generator[Any]:
  """Opens a parquet file, of this machine or of a store.

  Gives a `pyarrow.parquet.ParquetFile`. It verifies the checksums of pages that
  have one.

  Raises:
    UserError: if it is none, or what is read of it is damaged.
  """
  parquet = require('pyarrow.parquet', extra='data')
  with _damage(path), remote.open_binary(path) as file:
    yield parquet.ParquetFile(file, page_checksum_verification=True)


@contextlib.contextmanager
def _damage(path: str) -> Generator[None]:
  """Tells in one line that a file cannot be read."""
  arrow = require('pyarrow', extra='data')
  try:
    yield
  except (arrow.ArrowException, OSError) as error:
    raise UserError(
      f'{path} cannot be read as a parquet file: {error}'
    ) from error


def pictures(file: Any, column: str, group: int) -> Any:
  """Returns the pictures of a row group, an Arrow array of large binaries."""
  arrow = require('pyarrow', extra='data')
  (table,) = file.read_row_group(group, columns=[column]).columns
  chunks = [
    # What lies in a structure that is null is null.
    chunk.flatten()[0] if arrow.types.is_struct(chunk.type) else chunk
    for chunk in table.chunks
  ]
  binary = arrow.large_binary()
  return arrow.concat_arrays(
    [arrow.array([], binary), *(chunk.cast(binary) for chunk in chunks)]
  )


def values(array: Any) -> list[memoryview]:
  """Returns the bytes of each value of such an array, without copies.

  A null is empty.
  """
  _, bounds, content = array.buffers()
  if content is None:
    return [memoryview(b'')] * len(array)
  ends = np.frombuffer(bounds, np.int64)[array.offset :][: len(array) + 1]
  ends = ends.tolist()
  # Arrow's bytes are signed, and would equal no others.
  whole = memoryview(content).cast('B')
  return [whole[start:end] for start, end in itertools.pairwise(ends)]


def places_in(
  content: bytes, found: Sequence[memoryview]
) -> list[tuple[int, int]] | None:
  """Returns offset and size of each value in a column chunk.

  Args:
    content: the bytes of the chunk.
    found: its values, in order.

  Returns:
    None if one does not stand there as it is.
  """
  whole, places, place = memoryview(content), [], 0
  for value in found:
    length = len(value).to_bytes(_LENGTH, 'little')
    start = bytes(value[:_PREFIX])
    while True:
      place = content.find(length + start, place)
      if place < 0:
        return None
      place += _LENGTH
      if whole[place : place + len(value)] == value:
        break
    places.append((place, len(value)))
    place += len(value)
  return places


class RowGroups:
  """Reads pictures by the places that an index has for them.

  A place is offset and size, or -1 - g and a row, of row group g.

  Args:
    column: of the pictures, as `pictures` takes it.
    most_bytes: row groups that are kept, at least one.
  """

  def __init__(self, column: str, most_bytes: int):
    self._column, self._most_bytes = column, most_bytes
    self._kept: collections.OrderedDict[tuple[str, int], Any] = (
      collections.OrderedDict()
    )
    self._num_bytes = 0
    self._lock = threading.Lock()

  def __call__(
    self, paths: Sequence[str], places: np.ndarray, most: int | None = None
  ) -> list[bytes]:
    """Returns the bytes at some places of files, of each so many first ones.

    Those that cannot be read are empty.
    """
    found = [b''] * len(paths)
    plain = np.flatnonzero(places[:, 0] >= 0).tolist()
    if plain:
      own = read_places([paths[i] for i in plain], places[plain], most)
      for i, content in zip(plain, own, strict=True):
        found[i] = content
    rows: dict[tuple[str, int], list[int]] = {}
    for i in np.flatnonzero(places[:, 0] < 0).tolist():
      rows.setdefault((paths[i], -1 - int(places[i, 0])), []).append(i)
    with self._lock:
      # Those at hand first: what is read may take their place.
      for key in sorted(rows, key=lambda key: key not in self._kept):
        group = self._group(*key)
        for i in rows[key]:
          if group is not None:
            found[i] = bytes(group[places[i, 1]][:most])
    return found

  def _group(self, path: str, number: int) -> list[memoryview] | None:
    """Returns a row group; None if it cannot be read."""
    key = path, number
    if key in self._kept:
      self._kept.move_to_end(key)
      return self._kept[key]
    try:
      with opened(path) as file:
        group = values(pictures(file, self._column, number))
    except UserError:
      return None
    self._num_bytes += sum(map(len, group))
    while self._kept and self._num_bytes > self._most_bytes:
      _, old = self._kept.popitem(last=False)
      self._num_bytes -= sum(map(len, old))
    self._kept[key] = group
    return group
