import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxssl.augment.corruptions import blurs

IMAGE = np.random.default_rng(0).uniform(size=(24, 20, 3)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.mark.parametrize(('radius', 'softness'), [(3, 0.1), (1.5, 0.1)])
def test_defocus_is_the_mean_over_a_disk(radius, softness):
  # So little softness leaves the disk as it is.
  reach = int(radius)
  y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
  kernel = (x**2 + y**2 <= radius**2).astype(np.float64)
  kernel /= kernel.sum()
  wanted = ndimage.correlate(IMAGE, kernel[..., None], mode='mirror')
  found = blurs.defocus_blur(KEY, jnp.asarray(IMAGE), radius, softness)
  np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_disk_sums_to_one():
  assert blurs.disk(6, 0.5).sum() == pytest.approx(1, abs=1e-6)
  assert blurs.disk(0.3, 0.4).shape[0] < 9


@pytest.mark.parametrize('reach', [1, 2])
def test_scatter_equals_one_pixel_after_the_other(reach):
  height, width, _ = IMAGE.shape
  offsets = np.random.default_rng(1).integers(-reach, reach, (height, width, 2))
  wanted = IMAGE.copy()
  for h in range(height - reach, reach, -1):
    for w in range(width - reach, reach, -1):
      dy, dx = offsets[h, w]
      wanted[h, w] = wanted[h + dy, w + dx]
  found = blurs.scatter(jnp.asarray(IMAGE), jnp.asarray(offsets), reach=reach)
  np.testing.assert_array_equal(found, wanted)


def test_glass_leaves_a_uniform_image():
  image = jnp.full((16, 16, 3), 0.3)
  found = blurs.glass_blur(KEY, image, 0.7, 1, 2)
  np.testing.assert_allclose(found, image, atol=1e-6)


@pytest.mark.parametrize('degrees', [0.0, -37.0, 45.0, -117.0])
def test_blur_along_a_direction(degrees):
  radius, sigma = 4, 2.0
  taps = np.arange(2 * radius + 1)
  weights = np.exp(-(taps**2) / (2 * sigma**2))
  weights /= weights.sum()
  angle = np.deg2rad(degrees)
  wanted = np.zeros_like(IMAGE)
  for weight, tap in zip(weights, taps, strict=True):
    dy = int(np.ceil(tap * np.sin(angle) - 0.5))
    dx = int(np.ceil(tap * np.cos(angle) - 0.5))
    pad = np.pad(IMAGE, [(9, 9), (9, 9), (0, 0)], 'edge')
    wanted += weight * pad[9 + dy :, 9 + dx :][:24, :20]
  found = blurs.blur_along(
    jnp.asarray(IMAGE), jnp.float32(degrees), radius=radius, sigma=sigma
  )
  np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_zoom_blur_equals_scipy():
  stop, step = 1.16, 0.01
  size = 32
  image = np.random.default_rng(0).uniform(size=(size, size, 3))
  factors = np.arange(1, stop, step)
  total = image.copy()
  for factor in factors:
    kept = int(np.ceil(size / factor))
    first = (size - kept) // 2
    middle = image[first : first + kept, first : first + kept]
    large = ndimage.zoom(middle, (factor, factor, 1), order=1)
    trim = (large.shape[0] - size) // 2
    total += large[trim : trim + size, trim : trim + size]
  found = blurs.zoom_blur(KEY, jnp.asarray(image, jnp.float32), stop, step)
  np.testing.assert_allclose(found, total / (len(factors) + 1), atol=1e-5)
