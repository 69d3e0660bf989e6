"""Masks and depth, as others store them."""

import io

import numpy as np
from PIL import Image
import pytest

from jaxssl.data import targets
from jaxssl.data.decode import UnreadableError
from jaxssl.data.digits import digits
from jaxssl.data.shapes import Shapes
from jaxssl.errors import UserError

MASK = np.array([[0, 1, 2], [255, 3, 0]], np.uint8)
CLASSES = [[0, 1, 2], [-1, 3, 0]]


def _png(values, mode=None, *, kind='PNG', palette=False):
  image = Image.fromarray(values)
  if mode is not None:
    image = image.convert(mode)
  if palette:
    image.putpalette([7, 9, 11] * 256)
  out = io.BytesIO()
  image.save(out, kind)
  return out.getvalue()


def _npy(values):
  out = io.BytesIO()
  np.save(out, values)
  return out.getvalue()


def _read(kind, content, **code):
  return targets.Encoded(kind, lambda _: content, targets.Code(**code)).read(0)


@pytest.mark.parametrize(
  'content',
  [
    _png(MASK),
    _png(MASK, palette=True),
    _png(MASK, kind='TIFF'),
    _png(MASK, 'RGB'),
    _png(MASK.astype(np.uint16)),
    _npy(MASK.astype(np.int64)),
  ],
  ids=['gray', 'palette', 'TIFF', 'equal channels', '16 bits', 'npy'],
)
def test_a_mask_is_its_numbers_however_it_is_stored(content):
  found = _read('mask', content)
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found, CLASSES)


def test_black_and_white_is_two_classes():
  content = _png(np.array([[True, False]]))
  np.testing.assert_array_equal(_read('mask', content), [[1, 0]])


def test_more_than_256_classes():
  content = _png(np.array([[847, 65535]], np.uint16))
  np.testing.assert_array_equal(
    _read('mask', content, ignore=65535), [[847, -1]]
  )


def test_conventions_of_ade20k():
  found = _read('mask', _png(MASK), zero='ignore')
  np.testing.assert_array_equal(found, [[-1, 0, 1], [-1, 2, -1]])


def test_depth_of_pictures_and_arrays():
  millimetres = np.array([[1500, 0], [65535, 1]], np.uint16)
  found = _read('depth', _png(millimetres))
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, [[1.5, np.nan], [65.535, 0.001]], rtol=1e-6)
  found = _read('depth', _png(millimetres), depth_scale=1 / 256)
  assert found[0, 0] == np.float32(1500 / 256)
  metres = np.array([[1.5, np.inf], [-1, np.nan]], np.float32)
  for content in (_npy(metres), _png(metres, kind='TIFF')):
    np.testing.assert_array_equal(
      _read('depth', content), [[1.5, np.nan], [np.nan, np.nan]]
    )


@pytest.mark.parametrize(
  ('kind', 'content', 'message'),
  [
    ('mask', b'', 'its mask is empty'),
    ('mask', b'nothing', 'its mask: it is none of PNG'),
    ('mask', _png(MASK, 'L', kind='JPEG'), 'none of PNG'),
    ('mask', _png(MASK)[:-30], 'its mask: OSError'),
    ('mask', _png(np.eye(3, dtype=np.uint8)[None] * 9), 'it has colours'),
    ('mask', _npy(np.eye(2)), 'fractions'),
    ('depth', _npy(np.eye(2))[:-4], 'its depth: ValueError'),
    ('depth', _npy(np.zeros((2, 2, 2))), 'numbers of shape'),
    ('depth', _npy(np.array([['a']])), 'type <U1'),
    ('depth', _npy(np.array([[{}]], object)), 'ValueError'),
  ],
)
def test_what_is_no_target_is_unreadable(kind, content, message):
  with pytest.raises(UnreadableError, match=message):
    _read(kind, content)


def test_wrong_codes_are_told():
  with pytest.raises(UserError, match='give class or ignore'):
    targets.Code(zero='background')
  with pytest.raises(UserError, match='depth_scale is 0'):
    targets.Code(depth_scale=0)


def test_sources_say_what_they_have():
  assert targets.require(Shapes(size=16), 'depth').read(0).shape == (16, 16)
  with pytest.raises(UserError, match='digits/train has no mask'):
    targets.require(digits(), 'mask')


def test_a_class_without_a_name_is_told():
  mask = np.array([[0, 2]], np.int32)
  targets.check_classes(mask, ('a', 'b', 'c'), 'x')
  targets.check_classes(mask, (), 'x')
  with pytest.raises(UserError, match='the class 2, and there are 2 names'):
    targets.check_classes(mask, ('a', 'b'), 'x')
