"""Very many short byte strings in two arrays."""

from collections.abc import Iterable

import numpy as np

_AT_ONCE = 1 << 16


class ByteStrings:
  """Byte strings of any length, one after the other.

  Ten million Python objects would take a gigabyte.

  Args:
    blob: all of them, uint8 [bytes].
    bounds: where each begins and the last one ends, int64 [n + 1].
  """

  def __init__(self, blob: np.ndarray, bounds: np.ndarray):
    self.blob, self.bounds = blob, bounds

  @classmethod
  def of(cls, strings: Iterable[bytes]) -> 'ByteStrings':
    """Packs byte strings."""
    strings = list(strings)
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    return cls(
      np.frombuffer(b''.join(strings), np.uint8),
      np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )

  def __len__(self) -> int:
    return len(self.bounds) - 1

  def __getitem__(self, index: int) -> bytes:
    start, end = self.bounds[index : index + 2].tolist()
    return self.blob[start:end].tobytes()

  def lines(self, indices: np.ndarray) -> np.ndarray:
    """Returns some of them, with a line feed between each two.

    Args:
      indices: int64 [k].

    Returns:
      uint8, the bytes of `b'\\n'.join(...)`.
    """
    starts, ends = self.bounds[:-1], self.bounds[1:]
    total = sum(
      int((ends[rows] - starts[rows]).sum()) + len(rows)
      for rows in _pieces(indices)
    )
    lines = np.full(total, ord('\n'), np.uint8)
    place = 0
    for rows in _pieces(indices):
      lengths = ends[rows] - starts[rows]
      before = np.cumsum(lengths) - lengths
      within = np.arange(lengths.sum()) - np.repeat(before, lengths)
      target = np.repeat(place + before + np.arange(len(rows)), lengths)
      source = np.repeat(starts[rows], lengths)
      lines[target + within] = self.blob[source + within]
      place += int(lengths.sum()) + len(rows)
    return lines[:-1]


def _pieces(indices: np.ndarray) -> list[np.ndarray]:
  return [
    indices[first : first + _AT_ONCE]
    for first in range(0, len(indices), _AT_ONCE)
  ]
