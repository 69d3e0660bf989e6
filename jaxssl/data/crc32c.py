"""The checksum of TFRecord files: CRC-32C, as fast as NumPy allows.

A message is cut into lanes of 64 bytes, which go through the tables side by
side; then neighbouring lanes are joined, again and again. That is exact because
a checksum that begins with zero is linear over bits:

  crc(a + b) = advance(crc(a), len(b)) ^ crc(b),

where `advance` is what so many zero bytes make of a checksum. Zeros in front
change nothing, so that the first lane is filled up; and to begin with all bits
set, as CRC-32C does, is to invert the first four bytes.

Source: RFC 3720, appendix B.4 (polynomial 0x1EDC6F41, bits reflected).
"""

import functools

import numpy as np

_POLYNOMIAL = np.uint32(0x82F63B78)
_ALL_BITS = np.uint32(0xFFFFFFFF)
_LANE = 64
_BYTE, _HALF = np.uint32(8), np.uint32(16)
_LOW_BYTE, _LOW_HALF = np.uint32(0xFF), np.uint32(0xFFFF)
_ROTATION, _MASK_DELTA = 15, 0xA282EAD8


def crc32c(data: bytes) -> int:
  """Returns the CRC-32C of some bytes, in 0 ... 2^32 - 1."""
  values = np.frombuffer(data, np.uint8)
  if len(values) < _LANE:
    return int(_of_bytes(values[None])[0])
  padded = np.zeros(-(-len(values) // _LANE) * _LANE, np.uint8)
  padded[-len(values) :] = values
  padded[-len(values) :][:4] ^= 0xFF
  lanes = _of_lanes(padded.reshape(-1, _LANE))
  level = 0
  while len(lanes) > 1:
    if len(lanes) % 2:
      lanes = np.concatenate([np.zeros(1, np.uint32), lanes])
    lanes = _advance(lanes[::2], level) ^ lanes[1::2]
    level += 1
  return int(lanes[0] ^ _ALL_BITS)


def masked(crc: int) -> int:
  """Returns a checksum as TFRecord files store it: rotated, and moved."""
  rotated = crc >> _ROTATION | crc << (32 - _ROTATION)
  return (rotated + _MASK_DELTA) & 0xFFFFFFFF


def masked_of_rows(rows: np.ndarray) -> np.ndarray:
  """Returns the stored checksum of each of many short messages.

  Args:
    rows: uint8 [n, bytes of each].

  Returns:
    uint32 [n].
  """
  crc = _of_bytes(rows)
  rotated = crc >> np.uint32(_ROTATION) | crc << np.uint32(32 - _ROTATION)
  return rotated + np.uint32(_MASK_DELTA)


def _of_bytes(rows: np.ndarray) -> np.ndarray:
  """Returns the CRC-32C of each row, uint8 [n, b], byte after byte."""
  state = np.full(len(rows), _ALL_BITS)
  table = _tables()[0]
  for column in rows.T:
    state = table[(state ^ column) & _LOW_BYTE] ^ (state >> _BYTE)
  return state ^ _ALL_BITS


def _of_lanes(lanes: np.ndarray) -> np.ndarray:
  """Returns the checksum of each lane, uint8 [k, 64], that begins with zero."""
  state = np.zeros(len(lanes), np.uint32)
  first, second, third, fourth = _tables_of_halves()
  halves = np.ascontiguousarray(lanes.view('<u2').T)
  for place in range(0, len(halves), 4):
    one, two, three, four = halves[place : place + 4]
    state = (
      first.take((state & _LOW_HALF) ^ one)
      ^ second.take((state >> _HALF) ^ two)
      ^ third.take(three)
      ^ fourth.take(four)
    )
  return state


def _advance(state: np.ndarray, level: int) -> np.ndarray:
  """Returns what 64 * 2^level zero bytes make of checksums."""
  tables = _advancing_tables(level)
  return (
    tables[0].take(state & _LOW_BYTE)
    ^ tables[1].take((state >> _BYTE) & _LOW_BYTE)
    ^ tables[2].take((state >> _HALF) & _LOW_BYTE)
    ^ tables[3].take(state >> (_BYTE + _HALF))
  )


@functools.cache
def _tables() -> np.ndarray:
  """What a byte and i zero bytes behind it add to a checksum, [8, 256]."""
  table = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    odd = (table & np.uint32(1)).astype(bool)
    table = (table >> np.uint32(1)) ^ np.where(odd, _POLYNOMIAL, np.uint32(0))
  tables = [table]
  for _ in range(7):
    last = tables[-1]
    tables.append(table[last & _LOW_BYTE] ^ (last >> _BYTE))
  return np.stack(tables)


@functools.cache
def _tables_of_halves() -> np.ndarray:
  """The same for each two bytes of eight, uint32 [4, 65536]."""
  tables = _tables()
  low, high = np.arange(1 << 16) & 0xFF, np.arange(1 << 16) >> 8
  return np.stack(
    [tables[place][low] ^ tables[place - 1][high] for place in (7, 5, 3, 1)]
  )


@functools.cache
def _advancing_tables(level: int) -> np.ndarray:
  """What each byte of a checksum becomes, uint32 [4, 256]."""
  shifts = np.array([0, 8, 16, 24], np.uint32)[:, None]
  parts = np.arange(256, dtype=np.uint32) << shifts
  if level:
    return _advance(_advance(parts, level - 1), level - 1)
  table = _tables()[0]
  for _ in range(_LANE):
    parts = table[parts & _LOW_BYTE] ^ (parts >> _BYTE)
  return parts
