import numpy as np
import pytest

from jaxssl import errors
from jaxssl.pictures import views


def test_originals_stand_at_the_left_and_views_are_denormalised():
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
  normalised = (images / 255 - np.array(mean)) / np.array(std)
  grid = views.view_grid(
    images,
    (normalised,),
    names=('one', 'two'),
    mean=mean,
    std=std,
  )
  # Tiles of 128 pixels with a gap of 3 on each side, 18 for words.
  assert grid.shape == (18 + 2 * (134 + 24), 268, 3)
  assert grid[:18, :134].min() < 100  # headings
  assert grid[:18, 134:].min() < 100
  for row, top in enumerate((18, 176)):
    tiles = grid[top : top + 134]
    np.testing.assert_array_equal(tiles[3:131:16, 3:131:16], images[row])
    np.testing.assert_array_equal(tiles[:, :134], tiles[:, 134:])
    below = grid[top + 134 : top + 152]
    assert below[:, :134].min() < 100  # the name
    assert (below[:, 134:] == 255).all()


def test_different_numbers_of_rows_are_the_users_error():
  images = np.zeros((2, 8, 8, 3), np.uint8)
  with pytest.raises(errors.UserError, match=r'\[2, 1\]'):
    views.view_grid(images, (images[:1],))
