import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxssl import checksums
from jaxssl.parallel import modes

# Two whole blocks, a part of one, and some bytes more.
LARGE = (2 * 512 * 128 + 3 * 512 + 5) * 2 + 1


def _noise(shape, dtype=np.float32):
  return np.random.default_rng(0).normal(size=shape).astype(dtype)


def test_every_flipped_bit_is_found():
  array = _noise(LARGE)
  good = checksums.of_array(array)
  content = array.view(np.uint8)
  random = np.random.default_rng(1)
  places = [0, len(content) - 1, *random.integers(len(content), size=300)]
  for place in places:
    bit = np.uint8(1 << random.integers(8))
    content[place] ^= bit
    assert checksums.of_array(array) != good
    content[place] ^= bit
  assert checksums.of_array(array) == good


@pytest.mark.parametrize('bit', [0, 30, 31])
def test_the_same_bit_of_several_numbers_is_found(bit):
  array = _noise(LARGE)
  good, words = checksums.of_array(array), array.view(np.uint32)
  random = np.random.default_rng(2)
  for count in (2, 3, 4, 8) * 20:
    places = random.choice(LARGE, size=count, replace=False)
    words[places] ^= np.uint32(1 << bit)
    assert checksums.of_array(array) != good
    words[places] ^= np.uint32(1 << bit)


def test_order_counts():
  array = _noise((512, 512))
  good = checksums.of_array(array)
  for swapped in (array[::-1], array[:, ::-1], np.roll(array, 2, axis=1)):
    assert checksums.of_array(swapped) != good


@pytest.mark.parametrize(
  'array',
  [
    np.float32(3.0),
    np.zeros((0, 4), np.float32),
    _noise((3, 5), ml_dtypes.bfloat16),
    np.array([True, False]),
    _noise((700, 900)).T,
  ],
)
def test_any_shape_and_type(array):
  array = np.asarray(array)
  (parts,) = checksums.of_arrays({'a': jnp.asarray(array)}).values()
  assert not checksums.differ(array, parts)
  if array.size:
    other = array.copy()
    other.flat[0] = not other.flat[0]
    assert checksums.differ(other, parts)


def test_what_devices_share_is_summed_in_parts_and_copies_once():
  array = _noise((64, 48))
  mesh = modes.make_mesh(fsdp=4)
  shared = jax.sharding.NamedSharding(
    mesh, jax.sharding.PartitionSpec(None, modes.FSDP)
  )
  sums = checksums.of_arrays({'a': jax.device_put(array, shared)})['a']
  assert list(sums) == ['0:64,0:12', '0:64,12:24', '0:64,24:36', '0:64,36:48']
  assert not checksums.differ(array, sums)
  array[63, 20] += 1
  assert checksums.differ(array, sums)
