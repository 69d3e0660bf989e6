import contextlib
import io

import numpy as np
import pytest

from jaxssl import npz_file
from jaxssl.data import kept_index
from jaxssl.data.captions import Captions
from jaxssl.data.shard_index import ShardIndex, packed
from jaxssl.evals import features as features_lib

RANDOM = np.random.default_rng(0)
ARRAYS = {
  'numbers': RANDOM.normal(size=(7, 5)).astype(np.float32),
  'names': np.array(['a', 'caf\xe9']),
  'nothing': np.zeros((0, 3), np.int64),
}


def _mutated(good, trial, random):
  """Some bytes changed; every third time the end is missing as well."""
  content = bytearray(good)
  for _ in range(random.integers(1, 4)):
    content[random.integers(len(content))] ^= 1 << random.integers(8)
  if trial % 3 == 0:
    content = content[: random.integers(len(content))]
  return bytes(content)


def _same(found, wanted):
  return found.keys() == wanted.keys() and all(
    np.array_equal(found[name], wanted[name]) for name in wanted
  )


def test_round_trip_is_exact(tmp_path):
  path = tmp_path / 'new' / 'a.npz'
  npz_file.write(path, ARRAYS)
  found = npz_file.read(path)
  assert _same(found, ARRAYS)
  assert found['numbers'].dtype == np.float32


def test_changed_files_are_damaged_or_have_the_same_numbers(tmp_path):
  path, random = tmp_path / 'a.npz', np.random.default_rng(1)
  npz_file.write(path, ARRAYS)
  good, damaged = path.read_bytes(), 0
  for trial in range(300):
    path.write_bytes(_mutated(good, trial, random))
    try:
      found = npz_file.read(path)
    except npz_file.DamagedError:
      damaged += 1
      continue
    for name in found.keys() & ARRAYS.keys():  # names have no checksum
      np.testing.assert_array_equal(found[name], ARRAYS[name])
  assert damaged > 200


def test_a_pickle_is_never_loaded(tmp_path):
  path = tmp_path / 'a.npz'
  file = io.BytesIO()
  np.savez(file, a=np.array([{'an': 'object'}], object))
  path.write_bytes(file.getvalue())
  with pytest.raises(npz_file.DamagedError, match='allow_pickle'):
    npz_file.read(path)


def test_a_missing_file_is_not_damaged(tmp_path):
  with pytest.raises(FileNotFoundError):
    npz_file.read(tmp_path / 'a.npz')


def test_features_from_a_changed_cache_are_right(tmp_path):
  path, random = tmp_path / 'a.npz', np.random.default_rng(2)
  features = features_lib.Features(
    ARRAYS['numbers'], np.arange(7) % 2, ('a', 'b')
  )
  features_lib.cached(path, 'f', lambda: features)
  good = path.read_bytes()
  for trial in range(300):
    path.write_bytes(_mutated(good, trial, random))
    found = features_lib.cached(path, 'f', lambda: features)
    np.testing.assert_array_equal(found.features, features.features)
    np.testing.assert_array_equal(found.labels, features.labels)
    assert found.class_names == features.class_names


def test_a_changed_index_of_shards_is_right_or_damaged(tmp_path):
  path, random = tmp_path / 'a.npz', np.random.default_rng(3)
  index = ShardIndex(
    names=packed(['x', 'y']),
    places=np.array([[0, 3], [3, 9]]),
    captions=Captions.from_texts([['a'], ['b', 'c']]),
    labels=np.array([1, 0], np.int32),
    label_texts=['1', '2'],
    skipped={},
  )
  index.save(path)
  good, read = path.read_bytes(), 0
  for trial in range(300):
    path.write_bytes(_mutated(good, trial, random))
    with contextlib.suppress(*kept_index.DAMAGE):
      found = ShardIndex.load(path)
      assert found.label_texts == index.label_texts
      for name, array in index.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
      read += 1
  assert read < 150
