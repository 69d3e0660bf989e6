import numpy as np
import pytest
from skimage import data as photographs

from jaxssl.data.motorcycle import Motorcycle
from jaxssl.errors import UserError


@pytest.fixture(scope='module')
def stereo():
  return photographs.stereo_motorcycle()


def test_depth_is_that_of_the_disparity(stereo):
  left, right, disparity = stereo
  source = Motorcycle(size=100, count=4)
  for index in range(4):
    image = source.fetch(np.array([index])).content[0]
    depth = source.targets['depth'].read(index)
    rows, columns = source._place(index)
    np.testing.assert_array_equal(image, left[rows, columns])
    shift = 994.978 * 0.193001 / depth - 31.086
    known = np.isfinite(depth)
    np.testing.assert_allclose(
      shift[known], disparity[rows, columns][known], rtol=1e-4
    )
    assert 1 < np.nanmin(depth) < np.nanmax(depth) < 10
    # The same place looks the same in the right picture, so far to the left.
    row, column = np.nonzero(known & (columns.start + np.arange(100) > 80))
    there = (columns.start + column - shift[row, column]).round().astype(int)
    match = right[rows.start + row, there].astype(float)
    away = abs(match - image[row, column]).mean()
    assert away < abs(np.roll(match, 40, axis=0) - image[row, column]).mean()


def test_no_pixel_is_in_both_splits():
  ends = [
    Motorcycle(split=split, size=16, count=200)._image.shape[1]
    for split in ('train', 'test')
  ]
  assert sum(ends) == 741


def test_wrong_arguments_are_told():
  with pytest.raises(UserError, match='unknown split of motorcycle'):
    Motorcycle(split='val')
  with pytest.raises(UserError, match='from 16 to 260'):
    Motorcycle(split='test', size=300)
