import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
from scipy import ndimage

from jaxssl.augment.corruptions import digital

IMAGE = np.random.default_rng(0).uniform(size=(32, 32, 3)).astype(np.float32)
KEY = jax.random.key(0)


def test_contrast_pulls_each_channel_to_its_mean():
  mean = IMAGE.mean(axis=(0, 1))
  found = digital.contrast(KEY, jnp.asarray(IMAGE), 0.3)
  np.testing.assert_allclose(found, (IMAGE - mean) * 0.3 + mean, atol=1e-6)


@pytest.mark.parametrize('share', [0.95, 0.75, 0.6, 0.25])
def test_pixelate_equals_pillow(share):
  pixels = (255 * IMAGE).astype(np.uint8)
  small = int(32 * share)
  picture = Image.fromarray(pixels).resize((small, small), Image.Resampling.BOX)
  wanted = np.asarray(picture.resize((32, 32), Image.Resampling.BOX))
  found = 255 * digital.pixelate(KEY, jnp.asarray(pixels / 255.0), share)
  # Pillow rounds to 8 bits after each axis of each of the two.
  np.testing.assert_allclose(found, wanted, atol=2.0)


def test_no_moves_leave_the_image():
  found = digital.tilt(jnp.asarray(IMAGE), jnp.zeros((3, 2)))
  np.testing.assert_allclose(found, IMAGE, atol=1e-4)


def test_equal_moves_shift_the_image():
  # Three corners two pixels right and one down: so does every pixel.
  moves = jnp.tile(jnp.array([2.0, 1.0]), (3, 1))
  found = digital.tilt(jnp.asarray(IMAGE), moves)
  np.testing.assert_allclose(found[1:, 2:], IMAGE[:-1, :-2], atol=1e-4)


def test_displacement_equals_scipy():
  field = np.random.default_rng(1).normal(size=(32, 32, 2)).astype(np.float32)
  y, x = np.mgrid[:32, :32]
  places = y + field[..., 0], x + field[..., 1]
  wanted = np.stack(
    [
      ndimage.map_coordinates(IMAGE[..., c], places, order=1, mode='reflect')
      for c in range(3)
    ],
    axis=-1,
  )
  found = digital.displace(jnp.asarray(IMAGE), jnp.asarray(field))
  np.testing.assert_allclose(found, wanted, atol=1e-4)
