"""Whole pictures as evaluation sees them, beside Pillow's own operations."""

import dataclasses

import numpy as np
from PIL import Image
import pytest

from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.data import crop

RULE = Preprocessing(image_size=24, resize_size=27)
# Height and width; margins with every remainder by four.
SIDES = [(40, 40), (37, 61), (61, 37), (30, 47), (27, 33), (9, 20), (33, 100)]


def picture(height, width):
  """Returns smooth colours with noise, uint8 [height, width, 3]."""
  y, x = np.mgrid[:height, :width]
  waves = [np.sin(x / 3), np.cos(y / 4), np.sin((x + 2 * y) / 7)]
  noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
  values = 128 + 90 * np.stack(waves, axis=-1) + noise
  return np.clip(values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('offset', ['round', 'floor'])
@pytest.mark.parametrize(
  'name', ['nearest', 'bilinear', 'bicubic', 'lanczos', 'box', 'hamming']
)
@pytest.mark.parametrize('resize', ['shortest', 'squash'])
def test_pixels_are_those_of_pillow(resize, name, offset):
  rule = dataclasses.replace(
    RULE, resize=resize, interpolation=name, offset=offset
  )
  for height, width in SIDES:
    image = picture(height, width)
    sides = (27, 27)
    if resize == 'shortest':
      short = min(height, width)
      sides = int(27 * height / short), int(27 * width / short)
    whole = Image.fromarray(image).resize(
      sides[::-1], getattr(Image.Resampling, name.upper())
    )
    half = (lambda m: m // 2) if offset == 'floor' else (lambda m: round(m / 2))
    top, left = (half(side - 24) for side in sides)
    expected = whole.crop((left, top, left + 24, top + 24))
    np.testing.assert_array_equal(
      crop.prepare(image, rule), np.asarray(expected), str((height, width))
    )


@pytest.mark.parametrize('resize', ['shortest', 'squash'])
@pytest.mark.parametrize('sides', [(40_000, 1), (1, 40_000), (20_000, 3)])
def test_of_a_strip_only_the_centre_is_computed(resize, sides):
  import tracemalloc

  rule = Preprocessing(image_size=224, resize_size=256, resize=resize)
  image = picture(*sides)
  tracemalloc.start()
  found = crop.prepare(image, rule)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert found.shape == (224, 224, 3)
  # Whole, the longer side alone would be millions of pixels.
  assert peak < 2**24


def test_the_centre_alone_is_the_centre_of_the_whole(monkeypatch):
  rule = Preprocessing(image_size=24, resize_size=29)
  images = [picture(90, 500), picture(500, 90), picture(31, 300)]
  whole = [crop.prepare(image, rule) for image in images]
  monkeypatch.setattr(crop, '_LARGE', 0)
  for image, expected in zip(images, whole, strict=True):
    found = crop.prepare(image, rule).astype(int)
    # Pillow keeps the corner of a box as float32.
    assert np.abs(found - expected).max() <= 1
