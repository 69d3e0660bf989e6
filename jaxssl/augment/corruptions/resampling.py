"""Resampling as one constant matrix an axis, made by NumPy while tracing."""

import math

import jax
import numpy as np


def resample(
  image: jax.Array, rows: np.ndarray, columns: np.ndarray
) -> jax.Array:
  """Returns R X Cᵀ of every channel: [H, W, C] -> [len(rows), len(columns), C].

  The default precision of an accelerator would round pixels.

  Args:
    image: X, float32 [H, W, C].
    rows: R, float32 [new height, H].
    columns: C, float32 [new width, W].
  """
  high = jax.lax.Precision.HIGHEST
  return jax.numpy.einsum(
    'yh,hwc,xw->yxc', rows, image, columns, precision=high
  )


def zoom_matrix(size: int, factor: float) -> np.ndarray:
  """Returns what enlarges the middle of an axis, float32 [size, size].

  The middle ceil(size / factor) pixels, linearly resampled so that the first
  and the last keep their place at the ends (`scipy.ndimage.zoom`, order 1), and
  of that the middle `size` again.
  """
  kept = math.ceil(size / factor)
  first = (size - kept) // 2
  enlarged = round(kept * factor)
  place = (enlarged - size) // 2 + np.arange(size)
  place = place * (kept - 1) / max(enlarged - 1, 1)
  matrix = np.zeros((size, size))
  distance = np.abs(place[:, None] - np.arange(kept)[None])
  # A triangle of two pixels: linear between neighbours.
  matrix[:, first : first + kept] = np.maximum(0, 1 - distance)
  return matrix.astype(np.float32)


def box_matrix(old: int, new: int) -> np.ndarray:
  """Returns the means over boxes of Pillow's BOX, float32 [new, old].

  A pixel counts as a whole or not at all.
  """
  scale = old / new
  center = (np.arange(new)[:, None] + 0.5) * scale
  # A box is never narrower than a pixel, also where the image grows.
  distance = (np.arange(old)[None] - center + 0.5) / max(scale, 1)
  inside = (distance > -0.5) & (distance <= 0.5)
  return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
