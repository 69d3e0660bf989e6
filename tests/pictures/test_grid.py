import numpy as np
import pytest

from jaxssl import errors
from jaxssl.pictures import grid


def test_small_images_are_enlarged_by_whole_factors():
  images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
  pixels = grid.grid([images])
  # Three times as large, the first above 96 pixels, with a gap of 2 around.
  assert pixels.shape == (2 * 124, 124, 3)
  np.testing.assert_array_equal(pixels[2:122:3, 2:122:3], images[0])
  np.testing.assert_array_equal(pixels[126:246:3, 2:122:3], images[1])


def test_images_of_another_size_stand_in_the_middle_of_their_tile():
  large, small = (np.full((1, n, n, 3), 7, np.uint8) for n in (200, 64))
  pixels = grid.grid([large, small])
  assert pixels.shape == (204, 408, 3)
  assert (pixels[2:202, 2:202] == 7).all()
  assert (pixels[6:198, 210:402] == 7).all()
  assert (pixels[:, 204:210] == 255).all()


def test_words_leave_the_images_alone():
  images = np.zeros((1, 96, 96, 3), np.uint8)
  pixels = grid.grid([images, images], titles=['a', 'b'], captions=[['c'], []])
  assert pixels.shape == (18 + 100 + 18, 200, 3)
  assert (pixels[20:116, 2:98] == 0).all()
  assert (pixels[20:116, 102:198] == 0).all()
  assert pixels[:18, :100].min() < 100  # a title
  assert pixels[118:, :100].min() < 100  # a caption
  assert (pixels[118:, 100:] == 255).all()  # none


def test_a_long_caption_stays_in_its_tile():
  images = np.zeros((1, 96, 96, 3), np.uint8)
  pixels = grid.grid([images, images], captions=[[], ['very long ' * 20]])
  assert (pixels[100:, :100] == 255).all()
  assert pixels[100:, 100:].min() < 100


def test_columns_of_different_lengths_are_a_user_error():
  with pytest.raises(errors.UserError, match=r'\[2, 1\]'):
    grid.grid([np.zeros((n, 8, 8, 3), np.uint8) for n in (2, 1)])
