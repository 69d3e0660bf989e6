"""A picture of what an augmentation does to some images."""

from collections.abc import Sequence

import numpy as np

from jaxssl.pictures import grid


def view_grid(
  images: np.ndarray,
  views: Sequence[np.ndarray],
  *,
  names: Sequence[str] = (),
  mean: Sequence[float] = (0.0, 0.0, 0.0),
  std: Sequence[float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
  """Draws a grid: each row an original at the left and its views beside it.

  A line above the columns says which is which, and how large it is.

  Small images are enlarged by whole factors, pixel by pixel, so that nothing is
  smoothed over.

  Args:
    images: originals, uint8 [b, H, W, 3].
    views: one float [b, H_v, W_v, 3] a view, normalised by `mean` and `std`
      (`batch['views']` of an `Augment`), or uint8.
    names: of the originals, for example of their files; or none.
    mean: mean of the normalisation, a number per channel.
    std: deviation of the normalisation, a number per channel.

  Returns:
    uint8 [height, width, 3].

  Raises:
    jaxssl.errors.UserError: originals and views differ in number, or Pillow is
      not installed.
  """
  columns = [np.asarray(images)]
  columns += [_to_pixels(np.asarray(view), mean, std) for view in views]
  shapes = [f'{c.shape[2]} x {c.shape[1]}' for c in columns]
  titles = [f'picture, {shapes[0]}']
  titles += [f'view {i}, {shapes[i]}' for i in range(1, len(columns))]
  return grid.grid(columns, titles=titles, captions=[list(names)])


def _to_pixels(
  view: np.ndarray, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
  if view.dtype == np.uint8:
    return view
  scale, shift = np.asarray(std, np.float32), np.asarray(mean, np.float32)
  image = view.astype(np.float32) * scale + shift
  return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
