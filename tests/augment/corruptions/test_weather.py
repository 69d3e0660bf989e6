import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment.corruptions import weather

IMAGE = np.random.default_rng(0).uniform(size=(12, 16, 3)).astype(np.float32)
KEY = jax.random.key(0)


def test_brightness_adds_to_the_value_of_hsv():
  def brighter(pixel):
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    return colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))

  wanted = np.apply_along_axis(brighter, -1, IMAGE)
  found = weather.brightness(KEY, jnp.asarray(IMAGE), 0.3)
  np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_black_becomes_gray():
  found = weather.brightness(KEY, jnp.zeros((2, 2, 3)), 0.2)
  np.testing.assert_allclose(found, np.full((2, 2, 3), 0.2))


def test_snow_covers_and_whitens():
  flakes = np.random.default_rng(1).uniform(size=(12, 16, 1))
  luma = IMAGE @ np.array([0.299, 0.587, 0.114])
  white = np.maximum(IMAGE, 1.5 * luma[..., None] + 0.5)
  wanted = 0.8 * IMAGE + 0.2 * white + flakes + np.rot90(flakes, 2)
  found = weather.cover(
    jnp.asarray(IMAGE), jnp.asarray(flakes, jnp.float32), kept=0.8
  )
  np.testing.assert_allclose(found, wanted, atol=1e-5)


def diamond_square(noise, decay):
  """One point after the other, as the algorithm is told."""
  size = len(noise)
  heights = np.zeros_like(noise, np.float64)
  step, wibble = size, 100.0
  while step >= 2:
    half = step // 2
    for y in range(0, size, step):
      for x in range(0, size, step):
        corners = [
          heights[(y + dy) % size, (x + dx) % size]
          for dy in (0, step)
          for dx in (0, step)
        ]
        at = (y + half, x + half)
        heights[at] = sum(corners) / 4 + wibble**2 * noise[at]
    for y in range(0, size, half):
      for x in range((y + half) % step, size, step):
        around = [
          heights[(y + dy) % size, (x + dx) % size]
          for dy, dx in ((-half, 0), (half, 0), (0, -half), (0, half))
        ]
        heights[y, x] = sum(around) / 4 + wibble**2 * noise[y, x]
    step, wibble = half, wibble / decay
  heights -= heights.min()
  return heights / heights.max()


@pytest.mark.parametrize('decay', [3.0, 1.75])
def test_plasma_is_the_diamond_square_algorithm(decay):
  noise = np.random.default_rng(0).uniform(-1, 1, (16, 16)).astype(np.float32)
  found = weather.plasma(jnp.asarray(noise), decay=decay)
  np.testing.assert_allclose(found, diamond_square(noise, decay), atol=1e-5)


def test_fog_keeps_the_brightest_value():
  found = weather.fog(KEY, jnp.asarray(IMAGE), 1.5, 2.0)
  assert float(found.max()) <= IMAGE.max() + 1e-6
  # Without haze it would be m / (m + c) of the image.
  share = IMAGE.max() / (IMAGE.max() + 1.5)
  assert float((found - share * IMAGE).min()) >= -1e-6
