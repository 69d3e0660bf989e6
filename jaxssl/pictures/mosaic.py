"""A map of pictures: those that are alike lie side by side."""

import math

import numpy as np


def places(points: np.ndarray) -> np.ndarray:
  """Gives every point a square of its own, near where it lies.

  The assignment of points to the squares of a grid that has the least sum of
  squared distances, both scaled to the unit square.

  Args:
    points: float [n, 2].

  Returns:
    int [n], numbers of squares of a grid of ceil(sqrt(n)) columns, row by row.
  """
  from scipy import optimize  # a second to import

  count = len(points)
  columns = math.ceil(math.sqrt(count))
  rows = math.ceil(count / columns)
  y, x = np.divmod(np.arange(rows * columns), columns)
  squares = np.stack([x / max(columns - 1, 1), y / max(rows - 1, 1)], axis=1)
  order = points.argsort(axis=0, kind='stable').argsort(axis=0)
  # Ranks: otherwise a few outliers press all others together.
  scaled = order / max(count - 1, 1)
  distance = ((scaled[:, None] - squares[None]) ** 2).sum(axis=2)
  _, found = optimize.linear_sum_assignment(distance)
  return found


def mosaic(images: np.ndarray, points: np.ndarray) -> np.ndarray:
  """Draws pictures on one map.

  Args:
    images: uint8 [n, S, S, 3].
    points: float [n, 2], where each lies.

  Returns:
    uint8 [rows S, columns S, 3], white where there is no picture.
  """
  count, side = images.shape[:2]
  columns = math.ceil(math.sqrt(count))
  rows = math.ceil(count / columns)
  tiles = np.full((rows * columns, *images.shape[1:]), 255, np.uint8)
  tiles[places(points)] = images
  grid = tiles.reshape(rows, columns, *images.shape[1:])
  return grid.swapaxes(1, 2).reshape(rows * side, columns * side, 3)
