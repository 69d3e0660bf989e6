import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import tiles


def _image(height=9, width=11):
  return np.arange(height * width * 3, dtype=np.float32).reshape(
    height, width, 3
  )


def test_each_channel_is_cut_at_its_own_corner():
  corners = np.array([[[0, 0], [1, 2], [5, 7]], [[4, 4], [4, 4], [3, 4]]])
  found = tiles.cut_tiles(jnp.asarray(_image()), jnp.asarray(corners), 4)
  for i, channel in np.ndindex(2, 3):
    row, column = corners[i, channel]
    expected = _image()[row : row + 4, column : column + 4, channel]
    np.testing.assert_array_equal(found[i, :, :, channel], expected)


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_standardized_tiles_have_mean_0_and_variance_1(scale):
  shape = (2, 5, 8, 8, 3)
  x = scale * jax.random.normal(jax.random.key(0), shape) + 3.0
  y = tiles.standardize(x)
  np.testing.assert_allclose(y.mean((2, 3)), np.zeros((2, 5, 3)), atol=1e-5)
  np.testing.assert_allclose(y.std((2, 3)), np.ones((2, 5, 3)), atol=1e-4)


def test_a_tile_of_one_color_becomes_zero():
  np.testing.assert_array_equal(
    tiles.standardize(jnp.full((4, 4, 3), 0.5)), np.zeros((4, 4, 3))
  )
