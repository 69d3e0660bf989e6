import numpy as np
import pytest

from jaxssl import errors
from jaxssl.pictures import grid


def test_small_images_are_enlarged_by_whole_factors():
  images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
  pixels = grid.grid([images])
  # Four times as large, the first above 128 pixels, with a gap of 3 around.
  assert pixels.shape == (2 * 166, 166, 3)
  np.testing.assert_array_equal(pixels[3:163:4, 3:163:4], images[0])
  np.testing.assert_array_equal(pixels[169:329:4, 3:163:4], images[1])


def test_images_of_another_size_stand_in_the_middle_of_their_tile():
  large, small = (np.full((1, n, n, 3), 7, np.uint8) for n in (200, 64))
  pixels = grid.grid([large, small])
  assert pixels.shape == (206, 412, 3)
  assert (pixels[3:203, 3:203] == 7).all()
  assert (pixels[7:199, 213:405] == 7).all()
  assert (pixels[:, 206:213] == 255).all()


def test_words_leave_the_images_alone():
  images = np.zeros((1, 128, 128, 3), np.uint8)
  pixels = grid.grid([images, images], titles=['a', 'b'], captions=[['c'], []])
  assert pixels.shape == (18 + 134 + 18 + 6, 268, 3)
  assert (pixels[21:149, 3:131] == 0).all()
  assert (pixels[21:149, 137:265] == 0).all()
  assert pixels[:18, :134].min() < 100  # a title
  assert pixels[152:, :134].min() < 100  # a caption
  assert (pixels[152:, 134:] == 255).all()  # none


def test_captions_of_two_lines_and_a_heading():
  images = np.zeros((2, 128, 128, 3), np.uint8)
  pixels = grid.grid(
    [images], captions=[[('a', 'b'), 'c']], heading='what it is'
  )
  assert pixels.shape == (18 + 2 * (134 + 36 + 6), 134, 3)
  for top in (0, 152, 170, 328):  # the heading and three lines
    assert pixels[top : top + 18].min() < 100
  assert (pixels[346:] == 255).all()  # the second has one line


def test_frames_say_what_is_right():
  images = np.zeros((3, 128, 128, 3), np.uint8)
  pixels = grid.grid([images, images], is_right=[[True, False, None]])
  edges = pixels[[0, 134, 268], 60]
  np.testing.assert_array_equal(
    edges, [[0, 158, 115], [213, 94, 0], [255, 255, 255]]
  )
  for top in (3, 137, 271):
    assert (pixels[top : top + 128, 3:131] == 0).all()
  assert (pixels[[0, 134, 268], 200] == 255).all()


def test_a_long_caption_stays_in_its_tile():
  images = np.zeros((1, 128, 128, 3), np.uint8)
  pixels = grid.grid([images, images], captions=[[], ['very long ' * 20]])
  assert (pixels[134:, :134] == 255).all()
  assert pixels[134:, 134:].min() < 100


def test_columns_of_different_lengths_are_a_user_error():
  with pytest.raises(errors.UserError, match=r'\[2, 1\]'):
    grid.grid([np.zeros((n, 8, 8, 3), np.uint8) for n in (2, 1)])
