import io

import jax
import numpy as np
from PIL import Image
import pytest
from skimage import data

from jaxssl.augment.corruptions import jpeg

# Whole blocks of colours; neither side whole.
PICTURES = {
  'whole': np.ascontiguousarray(data.astronaut()[100:164, 180:244]),
  'cut': np.ascontiguousarray(data.coffee()[50:97, 60:111]),
}
_compress = jax.jit(
  lambda image, quality: jpeg.jpeg_compression(None, image, quality),
  static_argnums=1,
)


@pytest.mark.parametrize('quality', [7, 25, 49, 50, 80])
@pytest.mark.parametrize('picture', PICTURES)
def test_equals_pillow(picture, quality):
  pixels = PICTURES[picture]
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'JPEG', quality=quality)
  found = 255 * _compress(pixels / np.float32(255), quality)
  np.testing.assert_array_equal(np.round(found), np.asarray(Image.open(file)))


def test_a_flat_image_keeps_its_brightness():
  gray = np.full((16, 16, 3), 128 / 255, np.float32)
  np.testing.assert_allclose(_compress(gray, 50), gray, atol=1e-6)
