"""An array of many parts, of which there is never a second copy."""

import numpy as np


class Growing:
  """Rows that are added one after the other, in memory that grows.

  `np.concatenate` holds all parts and the whole at one time.

  Args:
    dtype: of the values.
  """

  def __init__(self, dtype: type[np.generic]):
    self._dtype = np.dtype(dtype)
    self._buffer = bytearray()

  def __len__(self) -> int:
    return len(self._buffer) // self._dtype.itemsize

  def add(self, values: np.ndarray) -> None:
    """Adds values at the end, in the order of their rows."""
    self._buffer += np.ascontiguousarray(values, self._dtype).tobytes()

  def array(self) -> np.ndarray:
    """Returns all values, [n], without copying them; the last call."""
    return np.frombuffer(self._buffer, self._dtype)
