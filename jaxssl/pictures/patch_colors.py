"""What the patches of pictures have in common, as colours."""

import numpy as np

from jaxssl.data.shown import show_like
from jaxssl.pictures.feature_map import pca
from jaxssl.pictures.panel import Column, Panel

_EDGES = (1, 99)  # per cent of the patches that lie on the scale of a colour


def patch_colors_panel(images: np.ndarray, features: np.ndarray) -> Panel:
  """Draws the three principal axes of patch features as red, green and blue.

  Source: Oquab et al. 2023 (arXiv 2304.07193), figure 1, without the threshold
  that removes the background there.

  Args:
    images: uint8 [n, H, W, 3].
    features: of their patches, float [n, h, w, D], D at least 3.
  """
  grid = features.shape[1], features.shape[2]
  colors = rgb(features.reshape(len(features), -1, features.shape[-1]), grid)
  for axis in (1, 2):
    times = images.shape[axis] // colors.shape[axis]
    colors = colors.repeat(times, axis=axis)
  return Panel(
    name='patches',
    title='Patches of a kind',
    text='The features of all patches of these pictures, on their three '
    'principal axes, as red, green and blue. Patches of one colour are alike '
    'to the encoder, also between the pictures.',
    columns=[
      Column(title='image', images=show_like(images)(images)),
      Column(title='patches', images=colors),
    ],
  )


def rgb(patches: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
  """Returns colours of patches.

  Args:
    patches: features, float [n, N, D], D at least 3.
    grid: rows and columns of the N patches.

  Returns:
    uint8 [n, rows, columns, 3]. Of each axis the outer per cent of either side
    is cut.
  """
  points, _ = pca(patches.reshape(-1, patches.shape[-1]), dims=3)
  low, high = np.percentile(points, _EDGES, axis=0)
  scaled = ((points - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
  return np.round(255 * scaled).astype(np.uint8).reshape(-1, *grid, 3)
