"""A picture of what an augmentation does to some images."""

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from jaxssl import errors

_GAP = 2
_SMALLEST_TILE = 96
_BACKGROUND = 255


def view_grid(
  images: np.ndarray,
  views: Sequence[np.ndarray],
  path: str | os.PathLike[str],
  *,
  mean: Sequence[float] = (0.0, 0.0, 0.0),
  std: Sequence[float] = (1.0, 1.0, 1.0),
) -> pathlib.Path:
  """Writes a PNG: each row an original at the left and its views beside it.

  Small images are enlarged by whole factors, pixel by pixel, so that nothing is
  smoothed over.

  Args:
    images: originals, uint8 [b, H, W, 3].
    views: one float [b, H_v, W_v, 3] a view, normalised by `mean` and `std`
      (`batch['views']` of an `Augment`), or uint8.
    path: file to write; its folder is made.
    mean: of the normalisation, by channel.
    std: of the normalisation, by channel.

  Returns:
    The path.

  Raises:
    jaxssl.errors.UserError: originals and views differ in number, or Pillow is
      not installed.
  """
  columns = [np.asarray(images)]
  columns += [_to_pixels(np.asarray(view), mean, std) for view in views]
  if len({len(column) for column in columns}) != 1:
    raise errors.UserError(
      'a grid needs as many rows of each view as of images, not '
      f'{[len(column) for column in columns]}'
    )
  tile = max(_SMALLEST_TILE, *(max(c.shape[1:3]) for c in columns))
  grid = np.concatenate([_column(c, tile) for c in columns], axis=1)
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  _write_png(grid, path)
  return path


def _to_pixels(view, mean, std):
  if view.dtype == np.uint8:
    return view
  image = view.astype(np.float32) * np.float32(std) + np.float32(mean)
  return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _column(images: np.ndarray, tile: int) -> np.ndarray:
  """Stacks images, each in the middle of a square tile with a gap around."""
  factor = max(1, tile // max(images.shape[1:3]))
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  height, width = images.shape[1:3]
  cell = tile + 2 * _GAP
  top, left = (cell - height) // 2, (cell - width) // 2
  cells = np.full((len(images), cell, cell, 3), _BACKGROUND, np.uint8)
  cells[:, top : top + height, left : left + width] = images
  return cells.reshape(-1, cell, 3)


def _write_png(pixels: np.ndarray, path: pathlib.Path) -> None:
  try:
    from PIL import Image
  except ImportError as error:
    raise errors.UserError(
      'writing pictures needs Pillow: pip install "jaxssl[data]"'
    ) from error
  Image.fromarray(pixels).save(path, format='PNG')
