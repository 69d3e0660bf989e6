from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import features as features_lib
from jaxssl.evals.features import Features


class TinyEncoder(nn.Module):
  dim: int = 5

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    maps = nn.Conv(self.dim, (3, 3))(images)
    maps = nn.BatchNorm(use_running_average=not train)(maps)
    return maps.mean(axis=(1, 2)), {'maps': maps}


def normalize(images):
  return images.astype(jnp.float32) / 255.0 - 0.5


def make_images(rows, seed=0, size=4):
  random = np.random.default_rng(seed)
  return random.integers(256, size=(rows, size, size, 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def variables():
  return TinyEncoder().init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))


def direct(variables, images):
  return TinyEncoder().apply(variables, normalize(images))[0]


@pytest.mark.parametrize('rows', [16, 5])
def test_encode_equals_apply(variables, rows):
  encode = features_lib.encode_fn(TinyEncoder(), variables, normalize)
  images = make_images(rows)
  # Another fusion of the same float32 sums.
  np.testing.assert_allclose(
    encode(images), direct(variables, images), atol=1e-6
  )


def test_rows_are_spread_over_devices(variables):
  encode = features_lib.encode_fn(TinyEncoder(), variables, normalize)
  shards = encode(make_images(16)).addressable_shards
  assert [s.data.shape for s in shards] == [(2, 5)] * 8


def test_layer_averages_space(variables):
  encode = features_lib.encode_fn(
    TinyEncoder(), variables, normalize, layer='maps'
  )
  images = make_images(8)
  np.testing.assert_allclose(
    encode(images), direct(variables, images), atol=1e-6
  )


def test_unknown_layer_offers_the_closest(variables):
  encode = features_lib.encode_fn(
    TinyEncoder(), variables, normalize, layer='map'
  )
  with pytest.raises(errors.UserError, match="did you mean 'maps'"):
    encode(make_images(8))


def test_new_variables_do_not_compile_again(variables):
  images = make_images(8)
  features_lib.encode_fn(TinyEncoder(), variables, normalize)(images)
  before = features_lib._encode._cache_size()
  double = jax.tree.map(lambda x: 2 * x, variables)
  features_lib.encode_fn(TinyEncoder(), double, normalize)(images)
  assert features_lib._encode._cache_size() == before


def first_pixel(images):
  return np.asarray(images, np.float32)[:, 0, 0]


def test_extract_keeps_order_and_drops_padding():
  images = make_images(8)
  batches = [
    {'image': images[:4], 'label': np.arange(4)},
    {
      'image': images[4:],
      'label': np.arange(4, 8),
      'mask': np.array([True, True, False, False]),
    },
  ]
  found = features_lib.extract(first_pixel, batches, class_names=['a', 'b'])
  np.testing.assert_array_equal(found.features, images[:6, 0, 0])
  np.testing.assert_array_equal(found.labels, np.arange(6))
  assert found.features.dtype == np.float32
  assert found.labels.dtype == np.int32
  assert found.class_names == ('a', 'b')


def test_extract_without_labels_says_unknown():
  found = features_lib.extract(first_pixel, [{'image': make_images(3)}])
  np.testing.assert_array_equal(found.labels, [-1, -1, -1])


def test_extract_of_nothing_is_a_user_error():
  padding = {'image': make_images(2), 'mask': np.zeros(2, bool)}
  with pytest.raises(errors.UserError, match='no image to encode'):
    features_lib.extract(first_pixel, [padding])


def test_extract_refuses_features_that_are_not_finite():
  with pytest.raises(errors.UserError, match='not finite'):
    features_lib.extract(
      lambda x: np.full((len(x), 2), np.nan), [{'image': make_images(2)}]
    )


DATA = Features(
  np.arange(6, dtype=np.float32).reshape(3, 2),
  np.array([0, -1, 1], np.int32),
  ('Käse', 'b'),
)


def fail():
  raise AssertionError('computed although the cache was good')


def assert_same(found, wanted):
  np.testing.assert_array_equal(found.features, wanted.features)
  np.testing.assert_array_equal(found.labels, wanted.labels)
  assert found.class_names == wanted.class_names


def test_cache_round_trip(tmp_path):
  path = tmp_path / 'folder' / 'features.npz'
  assert_same(features_lib.cached(path, 'f', lambda: DATA), DATA)
  assert_same(features_lib.cached(path, 'f', fail), DATA)
  assert [p.name for p in path.parent.iterdir()] == ['features.npz']


def test_cache_of_another_fingerprint_is_computed_again(tmp_path):
  path = tmp_path / 'features.npz'
  features_lib.cached(path, 'old', lambda: DATA)
  new = Features(DATA.features + 1, DATA.labels)
  assert_same(features_lib.cached(path, 'new', lambda: new), new)
  assert_same(features_lib.cached(path, 'new', fail), new)


@pytest.mark.parametrize('keep', [0, 10, 300])
def test_damaged_cache_is_computed_again_and_says_so(tmp_path, keep, caplog):
  path = tmp_path / 'features.npz'
  features_lib.cached(path, 'f', lambda: DATA)
  path.write_bytes(path.read_bytes()[:keep])
  assert_same(features_lib.cached(path, 'f', lambda: DATA), DATA)
  assert 'damaged' in caplog.text


def test_failed_computation_leaves_the_old_cache(tmp_path):
  path = tmp_path / 'features.npz'
  features_lib.cached(path, 'f', lambda: DATA)
  with pytest.raises(AssertionError):
    features_lib.cached(path, 'other', fail)
  assert_same(features_lib.cached(path, 'f', fail), DATA)


def test_cache_in_an_impossible_folder_is_a_user_error(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='cannot write'):
    features_lib.cached(tmp_path / 'file' / 'x.npz', 'f', lambda: DATA)


def test_raw_pixels_are_the_pixels():
  images = make_images(2)
  np.testing.assert_allclose(
    features_lib.raw_pixels(images),
    images.reshape(2, -1) / np.float32(255),
    rtol=1e-6,
  )


def test_color_histogram_equals_numpy():
  images = make_images(3, size=16)
  counts = [
    np.histogramdd(i.reshape(-1, 3), bins=4, range=[(0, 256)] * 3)[0]
    for i in images
  ]
  wanted = np.sqrt(np.stack(counts).reshape(3, -1) / 256)
  found = features_lib.color_histogram(images, bins=4)
  np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_color_histogram_ignores_where_pixels_are():
  images = make_images(2)
  np.testing.assert_array_equal(
    features_lib.color_histogram(images),
    features_lib.color_histogram(images[:, ::-1].swapaxes(1, 2)),
  )
