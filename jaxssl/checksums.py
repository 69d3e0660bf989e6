"""Checksums of arrays, as they are in memory when they are saved.

A bit that flips on its way to the disk, or there, is then found when they
are read, whatever the files look like.

The words of an array are laid out as blocks of rows and columns; each row and
each column is summed, modulo 2^64, and the sums go into a CRC-32 in their
order. A change of up to three words changes a row or a column alone and is
always found by the sums; other changes escape once in 4 billion times. CRC-32
of all bytes would find as much, at three times the cost.
"""

from collections.abc import Mapping
import json
from typing import Any
import zlib

import jax
from jax.experimental import multihost_utils
import numpy as np

# Of each part of an array that a device holds: '0:8,0:64' -> checksum.
Sums = dict[str, int]


_COLUMNS, _ROWS = 512, 128  # of 8 bytes: blocks that fit into a cache


def of_bytes(content: bytes) -> int:
  """Returns the CRC-32 of a text."""
  return zlib.crc32(content)


def of_array(array: np.ndarray) -> int:
  """Returns the checksum of the elements of an array, in [0, 2^32)."""
  content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
  whole = len(content) // (8 * _COLUMNS) * (8 * _COLUMNS)
  crc = zlib.crc32(content[whole:].data)
  words = content[:whole].view(np.uint64).reshape(-1, _COLUMNS)
  for start in range(0, len(words), _ROWS):
    block = words[start : start + _ROWS]
    for axis in (0, 1):
      crc = zlib.crc32(np.add.reduce(block, axis=axis).data, crc)
  return crc


def of_tensors(tensors: Mapping[str, np.ndarray]) -> int:
  """Returns one checksum of named arrays: names, types, shapes and elements."""
  facts = [
    (name, str(array.dtype), array.shape, of_array(array))
    for name, array in sorted(tensors.items())
  ]
  return of_bytes(json.dumps(facts).encode())


def of_arrays(arrays: Mapping[str, Any]) -> dict[str, Sums]:
  """Returns the checksums of arrays, which all processes hold together.

  All processes must call it, and all get the same. Each sums what it holds.

  Args:
    arrays: by name; what is cut over devices is summed in its parts, and what
      several devices hold alike is summed once.
  """
  found = {name: _of_array(array) for name, array in arrays.items()}
  if jax.process_count() == 1:
    return found
  # Each part has one owner; the others say 0.
  own = [crc for parts in found.values() for crc in parts.values()]
  gathered = multihost_utils.process_allgather(np.array(own, np.uint32))
  whole = iter(np.bitwise_or.reduce(gathered, axis=0).tolist())
  return {
    name: {part: next(whole) for part in parts} for name, parts in found.items()
  }


def differ(array: np.ndarray, sums: Sums) -> bool:
  """Tells whether an array is not the one whose parts have these checksums.

  Args:
    array: the whole of it.
    sums: checksums that `of_arrays` has made.
  """
  return any(of_array(array[_index(part)]) != crc for part, crc in sums.items())


def _of_array(array: Any) -> Sums:
  if not isinstance(array, jax.Array):
    array = np.asarray(array)
    whole = tuple(slice(0, size) for size in array.shape)
    return {_name(whole, array.shape): of_array(array)}
  places = array.sharding.devices_indices_map(array.shape).values()
  sums = dict.fromkeys(sorted(_name(i, array.shape) for i in places), 0)
  for shard in array.addressable_shards:
    if shard.replica_id == 0:
      name = _name(shard.index, array.shape)
      sums[name] = of_array(np.asarray(shard.data))
  return sums


def _name(index: tuple[slice, ...], shape: tuple[int, ...]) -> str:
  bounds = (s.indices(size) for s, size in zip(index, shape, strict=True))
  return ','.join(f'{start}:{stop}' for start, stop, _ in bounds)


def _index(name: str) -> tuple[slice, ...]:
  bounds = (part.split(':') for part in name.split(',') if part)
  return tuple(slice(int(start), int(stop)) for start, stop in bounds)
