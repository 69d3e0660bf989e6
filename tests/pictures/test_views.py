import numpy as np
from PIL import Image
import pytest

from jaxssl import errors
from jaxssl.pictures import views


def test_originals_stand_at_the_left_and_views_are_denormalised(tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
  normalised = (images / 255 - np.array(mean)) / np.array(std)
  path = views.view_grid(
    images, (normalised,), tmp_path / 'new' / 'grid.png', mean=mean, std=std
  )
  grid = np.asarray(Image.open(path))
  # Tiles of 96 pixels with a gap of 2 on each side.
  assert grid.shape == (200, 200, 3)
  np.testing.assert_array_equal(grid[2:98:12, 2:98:12], images[0])
  np.testing.assert_array_equal(grid[102:198:12, 102:198:12], images[1])
  np.testing.assert_array_equal(grid[:, :100], grid[:, 100:])


def test_different_numbers_of_rows_are_the_users_error(tmp_path):
  images = np.zeros((2, 8, 8, 3), np.uint8)
  with pytest.raises(errors.UserError, match=r'\[2, 1\]'):
    views.view_grid(images, (images[:1],), tmp_path / 'grid.png')
