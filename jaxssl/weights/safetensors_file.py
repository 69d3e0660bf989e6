"""Reads and writes safetensors files with NumPy alone.

The format (huggingface/safetensors, README, "Format"): 8 bytes, the length n
of the header as little-endian unsigned integer; n bytes of JSON, an object
`{name: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {str:
str}}`; the data, to which the offsets are relative, without gaps.

A file from elsewhere is not trusted: every number in its header is checked
against the file before a byte of data is touched.
"""

from collections.abc import Mapping, Sequence
import json
import math
import os
import pathlib
import struct
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from jaxssl import atomic_file, errors
from jaxssl.paths import make_path

_MAX_HEADER = 100_000_000  # as the reference implementation
_MAX_RANK = 64  # NumPy's
_MAX_ELEMENTS = 2**60  # of at most 8 bytes: NumPy counts bytes in 63 bits
_METADATA = '__metadata__'
_DTYPES = {
  'BOOL': np.dtype(np.bool_),
  'U8': np.dtype('<u1'),
  'I8': np.dtype('<i1'),
  'U16': np.dtype('<u2'),
  'I16': np.dtype('<i2'),
  'U32': np.dtype('<u4'),
  'I32': np.dtype('<i4'),
  'U64': np.dtype('<u8'),
  'I64': np.dtype('<i8'),
  'F16': np.dtype('<f2'),
  'BF16': np.dtype(ml_dtypes.bfloat16),
  'F32': np.dtype('<f4'),
  'F64': np.dtype('<f8'),
}
# JSON: dtype, shape and place of each tensor by name, and the metadata.
_Header = dict[str, Any]
# Types of the format that no weights of ours have. Most are of quantised
# weights, whose scales are tensors of their own: their numbers alone are wrong.
_NOT_TAKEN = (
  *('C64', 'F4', 'F6_E2M3', 'F6_E3M2', 'F8_E4M3', 'F8_E4M3FNUZ'),
  *('F8_E5M2', 'F8_E5M2FNUZ', 'F8_E8M0'),
)
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Reads all tensors of a file.

  Args:
    path: path of the file. It is mapped, not read: what the result keeps in
      memory is what was used of it.

  Returns:
    Read-only arrays by name.

  Raises:
    UserError: no such file, or one that breaks the format; names the file.
  """
  path = pathlib.Path(path)
  header, start = _read_header(path)
  header.pop(_METADATA, None)
  data_size = path.stat().st_size - start
  _check_layout(path, header, data_size)
  if not data_size:  # only empty tensors, and an empty map is an error
    data = np.zeros(0, np.uint8)
  else:
    data = np.memmap(path, np.uint8, mode='r', offset=start)
  return {name: _view(data, info) for name, info in header.items()}


def write(
  path: str | os.PathLike[str],
  tensors: Mapping[str, np.ndarray],
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes a file; a reader sees the old one or the new one, never a part.

  Args:
    path: path of the file; its folder is made.
    tensors: arrays by name.
    metadata: free-form strings to keep with them.

  Raises:
    UserError: a type that the format does not have, metadata that is not text,
      or a folder that cannot be written.
  """
  arrays = {name: _little_endian(name, a) for name, a in tensors.items()}
  # The widest types first, as the reference writer: every tensor is aligned.
  order = sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n))
  header = _make_header(arrays, order, metadata)

  def fill(file: BinaryIO) -> None:
    file.write(header)
    for name in order:
      file.write(arrays[name].tobytes())

  atomic_file.write(make_path(path), fill)


def _read_header(path: pathlib.Path) -> tuple[_Header, int]:
  """Returns the parsed header and where the data starts."""
  try:
    size = path.stat().st_size
    with path.open('rb') as file:
      length = _header_length(path, file.read(8), size)
      text = file.read(length)
  except OSError as e:
    raise errors.UserError(f'{path}: cannot read it: {e.strerror}') from e
  header = _parse(path, text)
  _check_metadata(path, header.get(_METADATA, {}))
  return header, 8 + length


def _header_length(path: pathlib.Path, prefix: bytes, size: int) -> int:
  if len(prefix) < 8:
    raise _broken(path, f'only {size} bytes, too short for a header')
  (length,) = struct.unpack('<Q', prefix)
  if length > _MAX_HEADER:
    raise _broken(path, f'a header of {length} bytes, more than {_MAX_HEADER}')
  if 8 + length > size:
    raise _broken(path, f'a header of {length} bytes in a file of {size}')
  return length


def _parse(path: pathlib.Path, text: bytes) -> _Header:
  def unique(pairs: list[tuple[str, Any]]) -> _Header:
    names = set()
    for name, _ in pairs:
      if name in names:
        raise _broken(path, f'the name {name!r} twice in its header')
      names.add(name)
    return dict(pairs)

  try:
    header = json.loads(text.decode('utf-8'), object_pairs_hook=unique)
  except errors.UserError:
    raise
  except (ValueError, RecursionError) as e:
    raise _broken(path, 'a header that is not JSON') from e
  if not isinstance(header, dict):
    raise _broken(path, 'a header that is not a JSON object')
  return header


def _check_metadata(path: pathlib.Path | str, metadata: Any) -> None:
  if not isinstance(metadata, dict) or not all(
    isinstance(value, str) for value in metadata.values()
  ):
    raise _broken(path, 'metadata that is not a map from text to text')


def _check_layout(path: pathlib.Path, header: _Header, data_size: int) -> None:
  """Checks that the tensors tile the data without overlap and without holes."""
  spans = []
  for name, info in header.items():
    _check_entry(path, name, info, data_size)
    spans.append((*info['data_offsets'], name))
  position = 0
  for begin, end, name in sorted(spans):
    if begin != position:
      what = 'overlaps another' if begin < position else 'follows a hole'
      raise _broken(path, f'tensor {name!r}, which {what}')
    position = end
  if position != data_size:
    raise _broken(path, f'{data_size - position} bytes that no tensor owns')


def _check_entry(
  path: pathlib.Path, name: str, info: Any, data_size: int
) -> None:
  if not isinstance(info, dict) or set(info) != {
    'dtype',
    'shape',
    'data_offsets',
  }:
    raise _broken(path, f'tensor {name!r} without dtype, shape or data_offsets')
  dtype, shape, offsets = info['dtype'], info['shape'], info['data_offsets']
  if dtype in _NOT_TAKEN:
    raise errors.UserError(
      f'{path}: tensor {name!r} is of type {dtype}, which is not taken; '
      'convert the weights to F32, F16 or BF16'
    )
  if not isinstance(dtype, str) or dtype not in _DTYPES:
    raise _broken(path, f'tensor {name!r} of unknown type {dtype!r}')
  if not _are_counts(shape) or len(shape) > _MAX_RANK or not _has_array(shape):
    raise _broken(path, f'tensor {name!r} of shape {shape!r}')
  if not _are_counts(offsets) or len(offsets) != 2:
    raise _broken(path, f'tensor {name!r} at offsets {offsets!r}')
  begin, end = offsets
  if not begin <= end <= data_size:
    raise _broken(
      path, f'tensor {name!r} at {begin}:{end} of {data_size} bytes'
    )
  # Python integers do not overflow, so a huge shape cannot wrap around.
  size = math.prod(shape) * _DTYPES[dtype].itemsize
  if size != end - begin:
    raise _broken(path, f'tensor {name!r} of {end - begin} bytes, not {size}')


def _are_counts(values: Any) -> bool:
  # `type` and not `isinstance`: JSON's true and false are no counts.
  return isinstance(values, list) and all(
    type(value) is int and value >= 0 for value in values
  )


def _has_array(shape: Sequence[int]) -> bool:
  """Whether NumPy can have it: empty arrays too may be too large for it."""
  return math.prod(max(side, 1) for side in shape) < _MAX_ELEMENTS


def _view(data: np.ndarray, info: Mapping[str, Any]) -> np.ndarray:
  begin, end = info['data_offsets']
  flat = np.asarray(data[begin:end]).view(_DTYPES[info['dtype']])
  array = flat.reshape(info['shape'])
  array.flags.writeable = False
  return array


def _little_endian(name: str, array: np.ndarray) -> np.ndarray:
  array = np.asarray(array)
  if array.dtype.byteorder == '>':
    array = array.astype(array.dtype.newbyteorder('<'))
  if array.dtype not in _NAMES:
    raise errors.UserError(
      f'tensor {name!r} has type {array.dtype}, which safetensors lacks; '
      f'it has {", ".join(map(str, _NAMES))}'
    )
  return array


def _make_header(
  arrays: Mapping[str, np.ndarray],
  order: Sequence[str],
  metadata: Mapping[str, str] | None,
) -> bytes:
  header: dict[str, Any] = {}
  if metadata:
    header[_METADATA] = dict(metadata)
  begin = 0
  for name in order:
    array = arrays[name]
    end = begin + array.nbytes
    if name == _METADATA:
      raise errors.UserError(f'{name!r} is no name for a tensor')
    header[name] = {
      'dtype': _NAMES[array.dtype],
      'shape': list(array.shape),
      'data_offsets': [begin, end],
    }
    begin = end
  _check_metadata('the file to write', header.get(_METADATA, {}))
  try:
    text = json.dumps(header, ensure_ascii=False).encode('utf-8')
  except UnicodeEncodeError as e:
    raise errors.UserError(
      f'the name of a tensor is no text: {e.object[e.start : e.end]!a}'
    ) from e
  text += b' ' * (-len(text) % 8)
  return struct.pack('<Q', len(text)) + text


def _broken(path: pathlib.Path | str, what: str) -> errors.UserError:
  return errors.UserError(f'{path}: not a valid safetensors file: {what}')
