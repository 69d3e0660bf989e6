import json
import struct

import chex
import ml_dtypes
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.weights import safetensors_file

DTYPES = (
  'bool',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'uint64',
  'int64',
  'float16',
  'bfloat16',
  'float32',
  'float64',
)


def _tensors():
  rng = np.random.default_rng(0)
  tensors = {
    name: (4 * rng.standard_normal((2, 3))).astype(
      ml_dtypes.bfloat16 if name == 'bfloat16' else name
    )
    for name in DTYPES
  }
  return tensors | {
    'scalar': np.float32(1.5),
    'empty': np.zeros((0, 4), np.float32),
    'naïve': np.arange(3, dtype=np.uint8),
  }


def _check_equal(ours, expected):
  assert set(ours) == set(expected)
  for name, array in expected.items():
    assert ours[name].dtype == np.asarray(array).dtype, name
    assert ours[name].shape == np.asarray(array).shape, name
    np.testing.assert_array_equal(ours[name], array)


def test_round_trip_is_exact(tmp_path):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, _tensors(), {'step': '3'})
  _check_equal(safetensors_file.read(path), _tensors())


def test_the_safetensors_package_reads_our_file(tmp_path):
  safetensors = pytest.importorskip('safetensors')
  numpy_io = pytest.importorskip('safetensors.numpy')
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, _tensors(), {'step': '3'})
  _check_equal(numpy_io.load_file(path), _tensors())
  with safetensors.safe_open(path, 'np') as file:
    assert file.metadata() == {'step': '3'}


def test_we_read_the_file_of_the_safetensors_package(tmp_path):
  numpy_io = pytest.importorskip('safetensors.numpy')
  path = tmp_path / 'a.safetensors'
  tensors = {k: np.asarray(v) for k, v in _tensors().items()}
  numpy_io.save_file(tensors, path, metadata={'step': '3'})
  _check_equal(safetensors_file.read(path), _tensors())


@pytest.mark.parametrize('tensors', [{}, {'empty': np.zeros((2, 0))}])
def test_files_without_data(tensors, tmp_path):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, tensors)
  _check_equal(safetensors_file.read(path), tensors)


def test_big_endian_and_strided_arrays_are_converted(tmp_path):
  path = tmp_path / 'a.safetensors'
  array = np.arange(12.0).reshape(3, 4)
  safetensors_file.write(path, {'a': array.astype('>f8').T})
  chex.assert_trees_all_equal(safetensors_file.read(path)['a'], array.T)


def test_tensors_are_read_only(tmp_path):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, {'a': np.zeros(3)})
  with pytest.raises(ValueError, match='read-only'):
    safetensors_file.read(path)['a'][0] = 1


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, {'a': np.zeros(3)})

  def full(_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(safetensors_file.os, 'fsync', full)
  with pytest.raises(errors.UserError, match='No space left'):
    safetensors_file.write(path, {'a': np.ones(3)})
  chex.assert_trees_all_equal(safetensors_file.read(path)['a'], np.zeros(3))
  assert [p.name for p in tmp_path.iterdir()] == ['a.safetensors']


@pytest.mark.parametrize(
  ('tensors', 'metadata', 'message'),
  [
    ({'a': np.zeros(2, np.complex64)}, None, 'complex64'),
    ({'a': np.array(['text'])}, None, 'safetensors lacks'),
    ({'__metadata__': np.zeros(2)}, None, 'no name for a tensor'),
    ({'a': np.zeros(2)}, {'step': 3}, 'text to text'),
    ({'a\udcff': np.zeros(2)}, None, 'no text'),
  ],
)
def test_what_cannot_be_written_is_a_user_error(
  tensors, metadata, message, tmp_path
):
  with pytest.raises(errors.UserError, match=message):
    safetensors_file.write(tmp_path / 'a.safetensors', tensors, metadata)
  assert not list(tmp_path.iterdir())


def test_missing_files_and_folders_are_user_errors(tmp_path):
  for path in (tmp_path / 'missing', tmp_path):
    with pytest.raises(errors.UserError, match='cannot read it'):
      safetensors_file.read(path)
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='cannot write'):
    safetensors_file.write(tmp_path / 'file' / 'a', {'a': np.zeros(1)})


def _file(header, data=bytes(24)):
  """Returns the bytes of a file with this header, good or bad."""
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + data


def _entry(dtype='F32', shape=(2, 3), offsets=(0, 24)):
  return {'dtype': dtype, 'shape': shape, 'data_offsets': offsets}


def _two(first, second):
  return _file(
    {
      'a': _entry(shape=[first[1] - first[0]], dtype='U8', offsets=first),
      'b': _entry(shape=[second[1] - second[0]], dtype='U8', offsets=second),
    }
  )


GOOD = _file({'a': _entry()})
BROKEN = {
  'nothing': b'',
  'seven bytes': GOOD[:7],
  'half a header': GOOD[:30],
  'header beyond the end': struct.pack('<Q', 1000) + GOOD[8:],
  'header of 101 MB': struct.pack('<Q', 101_000_000) + GOOD[8:],
  'header of 2^64 - 1 bytes': b'\xff' * 8 + GOOD[8:],
  'not JSON': _file(b'{"a": '),
  'not UTF-8': _file(b'{"\xff": 1}'),
  'deep JSON': _file(b'[' * 100_000),
  'endless integer': _file(b'{"a": ' + b'9' * 5000 + b'}'),
  'a list': _file([_entry()]),
  'an entry that is a list': _file({'a': [1, 2]}),
  'an entry without shape': _file({'a': {'dtype': 'F32'}}),
  'an entry with more': _file({'a': _entry() | {'x': 1}}),
  'unknown type': _file({'a': _entry(dtype='F33')}),
  'a type that is a list': _file({'a': _entry(dtype=['F32'])}),
  'negative count': _file({'a': _entry(shape=[-2, -3])}),
  'fractional count': _file({'a': _entry(shape=[2.0, 3])}),
  'boolean count': _file({'a': _entry(shape=[True, 6])}),
  'shape that is a number': _file({'a': _entry(shape=6)}),
  'huge shape': _file({'a': _entry(shape=[2**62, 8])}),
  'shape that wraps to 24 bytes': _file({'a': _entry(shape=[2**62 + 6])}),
  'nothing times 2^63': _file(
    {'a': _entry(shape=[0, 2**63], offsets=[0, 0])}, b''
  ),
  'nothing times 2^62': _file(
    {'a': _entry(shape=[2**31, 0, 2**31], offsets=[0, 0])}, b''
  ),
  'offset of 2^63': _file({'a': _entry(offsets=[0, 2**63])}),
  'rank 65': _file({'a': _entry(shape=[1] * 64 + [6])}),
  'smaller shape': _file({'a': _entry(shape=[2, 2])}),
  'negative offset': _file({'a': _entry(offsets=[-1, 23])}),
  'one offset': _file({'a': _entry(offsets=[24])}),
  'end before begin': _file({'a': _entry(offsets=[24, 0])}),
  'end beyond the file': _file({'a': _entry(shape=[7], offsets=[0, 28])}),
  'truncated data': GOOD[:-1],
  'bytes of nobody': GOOD + b'x',
  'a hole at the start': _file({'a': _entry(shape=[5], offsets=[4, 24])}),
  'a hole': _two([0, 8], [12, 24]),
  'an overlap': _two([0, 16], [8, 24]),
  'the same bytes twice': _two([0, 24], [0, 24]),
  'a name twice': _file(
    b'{"a": %s, "a": %s}' % ((json.dumps(_entry()).encode(),) * 2)
  ),
  'metadata that is a list': _file({'__metadata__': [], 'a': _entry()}),
  'metadata with a number': _file({'__metadata__': {'x': 1}, 'a': _entry()}),
}


@pytest.mark.parametrize('dtype', ['F8_E4M3', 'F8_E5M2', 'C64', 'F4'])
def test_types_that_are_valid_but_not_taken_are_no_damage(dtype, tmp_path):
  path = tmp_path / 'a.safetensors'
  path.write_bytes(_file({'a': _entry(dtype=dtype, shape=[24])}))
  with pytest.raises(errors.UserError, match=f'{dtype}, which is not') as error:
    safetensors_file.read(path)
  assert 'not a valid' not in str(error.value)


def test_the_file_that_the_broken_ones_start_from_is_good(tmp_path):
  path = tmp_path / 'a.safetensors'
  path.write_bytes(GOOD)
  _check_equal(safetensors_file.read(path), {'a': np.zeros((2, 3), np.float32)})


@pytest.mark.parametrize('kind', BROKEN)
def test_broken_files_are_user_errors_that_name_the_file(kind, tmp_path):
  path = tmp_path / 'broken.safetensors'
  path.write_bytes(BROKEN[kind])
  with pytest.raises(errors.UserError, match=r'broken\.safetensors: not a'):
    safetensors_file.read(path)


def test_cut_and_flipped_bytes_never_raise_anything_else(tmp_path):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(
    path, {'a': np.ones((2, 3)), 'b': np.ones(2)}, {'k': 'v'}
  )
  good = path.read_bytes()
  rng = np.random.default_rng(0)
  header_end = 8 + struct.unpack('<Q', good[:8])[0]
  for _ in range(300):
    mutated = bytearray(good)
    mutated[rng.integers(header_end)] = rng.integers(256)
    path.write_bytes(
      mutated[: rng.integers(len(mutated) // 2, len(mutated) + 1)]
    )
    try:
      tensors = safetensors_file.read(path)
    except errors.UserError:
      continue
    assert sum(t.nbytes for t in tensors.values()) <= len(mutated)


def test_changed_headers_give_tensors_of_the_file_or_one_line(tmp_path):
  path = tmp_path / 'a.safetensors'
  safetensors_file.write(path, _tensors(), {'k': 'v'})
  good, rng, read = path.read_bytes(), np.random.default_rng(1), 0
  header_end = 8 + struct.unpack('<Q', good[:8])[0]
  numbers = [i for i in range(8, header_end) if good[i : i + 1].isdigit()]
  for trial in range(300):
    mutated = bytearray(good)
    for _ in range(rng.integers(1, 4)):
      # Half of them turn digits into digits: the header stays JSON.
      place = rng.choice(numbers) if trial % 2 else rng.integers(header_end)
      mutated[place] = rng.integers(48, 58) if trial % 2 else rng.integers(256)
    path.write_bytes(mutated)
    try:
      tensors = safetensors_file.read(path)
    except errors.UserError as error:
      assert len(str(error).splitlines()) == 1  # noqa: PT017
      continue
    assert sum(t.nbytes for t in tensors.values()) == len(good) - header_end
    read += 1
  assert 0 < read < 100
