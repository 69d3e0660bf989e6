"""Channels and bits as they are stored."""

import io

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from jaxssl.augment.bands import Bands
from jaxssl.data import raster
from jaxssl.data.decode import UnreadableError
from jaxssl.errors import UserError
from tests.data import pairs, rasters
from tests.data.rasters import pixels, planes, tiff

FIVE = Bands(channels=5)
VALUES = pixels(3)
LAYOUTS = {
  'samples': tiff(VALUES),
  'big endian': tiff(VALUES, byteorder='>'),
  'BigTIFF': tiff(VALUES, bigtiff=True),
  'planes': planes(VALUES, planarconfig='separate'),
  'pages': planes(VALUES),
  'ImageJ': planes(VALUES, imagej=True, metadata={'axes': 'CYX'}),
  'OME': planes(VALUES, ome=True, metadata={'axes': 'CYX'}),
  'tiles': tiff(VALUES, tile=(16, 16)),
  **{
    name: tiff(VALUES, compression=name, predictor=name not in ('packbits',))
    for name in ('zlib', 'lzw', 'zstd', 'lzma', 'packbits')
  },
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_of_tiff_gives_the_stored_values(layout):
  found = raster.exact(LAYOUTS[layout], FIVE)
  assert found.dtype == np.uint16
  np.testing.assert_array_equal(found, VALUES)
  look = raster.look(LAYOUTS[layout])
  assert (look.height, look.width, look.channels) == (12, 15, 5)
  assert not look.is_ordinary


@pytest.mark.parametrize('layout', ['samples', 'pages', 'lzw', 'tiles'])
def test_a_part_of_the_pixels_is_never_taken_for_all(layout):
  content = LAYOUTS[layout]
  for end in range(0, len(content), len(content) // 40):
    try:
      found = raster.exact(content[:end], FIVE)
    except UnreadableError:
      continue
    # What is cut off holds no pixels.
    np.testing.assert_array_equal(found, VALUES)


def test_png_of_16_bits_keeps_them_with_and_without_colours():
  gray = pixels(1, channels=1)
  found = raster.exact(rasters.gray_png(gray), Bands(channels=1))
  np.testing.assert_array_equal(found, gray)
  for channels in (3, 4):
    values = pixels(2, channels)
    content = tf.io.encode_png(values).numpy()
    found = raster.exact(content, Bands(channels=channels))
    np.testing.assert_array_equal(found, values)


def test_8_bits_become_the_same_shares_of_16():
  values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  found = raster.exact(tiff(values), Bands(channels=1))
  np.testing.assert_array_equal(found / 65535, values / 255)
  found = raster.exact(pairs.picture(4), Bands(channels=3))
  np.testing.assert_array_equal(
    found[0, 0] / 65535, np.divide(pairs.color(4), 255)
  )


@pytest.mark.parametrize('dtype', [np.int16, np.uint32, np.float32])
def test_a_range_says_what_other_types_mean(dtype):
  values = np.array([[-50, 0, 100], [250, 400, 60]], np.float64)
  stored = values.astype(dtype)[..., None]
  if dtype == np.uint32:
    stored = np.maximum(values, 0).astype(dtype)[..., None]
  if dtype == np.float32:
    stored[1, 2] = np.nan
  with pytest.raises(UnreadableError, match='whose range it does not'):
    raster.exact(tiff(stored), Bands(channels=1))
  bands = Bands(channels=1, value_range=(0.0, 250.0))
  found = raster.exact(tiff(stored), bands)[..., 0]
  last = 0 if dtype == np.float32 else 60 / 250
  wanted = np.array([[0, 0, 100 / 250], [1, 1, last]])
  np.testing.assert_array_equal(found, np.round(wanted * 65535))


def _stack():
  stream = io.BytesIO()
  values = np.zeros((2, 5, 8, 8), np.uint16)
  tifffile.imwrite(stream, values, imagej=True, metadata={'axes': 'ZCYX'})
  return stream.getvalue()


def test_what_is_no_such_picture_is_refused_with_the_reason():
  cases = [
    (tiff(pixels(1, 4)), 'it has 4 channels, not 5'),
    (pairs.picture(1), 'it has 3 channels, not 5'),
    (b'', 'it is empty'),
    (b'no picture', 'it is none of'),
    (_stack(), 'its axes are ZCYX of'),
  ]
  for content, reason in cases:
    with pytest.raises(UnreadableError, match=reason):
      raster.exact(content, FIVE)
  with pytest.raises(UnreadableError, match='more than max_pixels=100'):
    raster.exact(LAYOUTS['samples'], FIVE, max_pixels=100)


def test_a_codec_that_is_missing_says_what_installs_it(monkeypatch):
  def fail(*_, **__):
    raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

  monkeypatch.setattr('tifffile.TiffPageSeries.asarray', fail)
  with pytest.raises(UnreadableError, match=r'pip install "jaxssl\[formats\]"'):
    raster.exact(LAYOUTS['lzw'], FIVE)


@pytest.mark.parametrize(
  ('content', 'is_ordinary'),
  [
    (pairs.picture(1), True),
    (pairs.picture(1, 'TIFF'), True),
    (tiff(np.zeros((4, 4, 4), np.uint8), extrasamples=['unassalpha'] * 1,
          photometric='rgb'), True),
    (tiff(np.zeros((4, 4, 4), np.uint8), extrasamples=['unspecified'] * 1,
          photometric='rgb'), False),
    (tiff(np.zeros((4, 4, 2), np.uint8)), False),
    (tiff(pixels(1, 1)), False),
    (rasters.gray_png(pixels(1, 1)), False),
  ],
)  # fmt: skip
def test_what_8_bit_rgb_would_lose_is_told_from_what_it_holds(
  content, is_ordinary
):
  assert raster.look(content).is_ordinary is is_ordinary


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'channels': 0}, 'it must be positive'),
    ({'channels': 2, 'value_range': (1.0, 1.0)}, 'the lower one first'),
    ({'channels': 2, 'value_range': (0.0, float('nan'))}, 'two numbers'),
  ],
)
def test_bands_that_cannot_be_are_a_user_error(fields, message):
  with pytest.raises(UserError, match=message):
    Bands(**fields)
