import numpy as np

from jaxssl.pictures import mosaic


def test_points_of_a_grid_keep_their_places():
  y, x = np.divmod(np.arange(9), 3)
  points = np.stack([x, y], axis=1) * [5.0, 0.1]
  np.testing.assert_array_equal(mosaic.places(points), np.arange(9))


def test_every_point_has_a_square_of_its_own():
  points = np.random.default_rng(0).normal(size=(23, 2))
  found = mosaic.places(points)
  assert len(set(found.tolist())) == 23
  assert 0 <= found.min() <= found.max() < 25


def test_pictures_lie_where_their_points_are():
  images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones(
    (1, 2, 2, 3), np.uint8
  )
  points = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
  drawn = mosaic.mosaic(images, points)
  assert drawn.shape == (4, 4, 3)
  np.testing.assert_array_equal(drawn[::2, ::2, 0], [[1, 2], [3, 0]])
