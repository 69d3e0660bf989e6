"""How pictures of any channels and depth are shown to people."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxssl.augment.bands import RGB

# Of the values of a channel, what lies beyond is shown as the darkest and the
# brightest.
_OUTER = (1.0, 99.0)

Show = Callable[[Any], np.ndarray]


def show_like(pixels: np.ndarray) -> Show:
  """Returns a function that makes 8-bit RGB of pictures like these.

  8-bit RGB stays as it is. Of others the first three channels become red,
  green and blue (of two, blue is black; a single one is gray), each stretched
  from the 1st to the 99th percentile of `pixels`, because 16 bits are rarely
  filled. Pictures that one function shows can be compared.

  Args:
    pixels: of the pictures, uint8 [..., 3] or [..., C] of another type.

  Returns:
    [..., C] -> uint8 [..., 3]. It takes the type of `pixels`, and fractions of
    its largest value.
  """
  if pixels.dtype == np.uint8 and pixels.shape[-1] == RGB:
    return _eight_bits
  chosen = _chosen(pixels).reshape(-1, min(pixels.shape[-1], RGB))
  low, high = np.percentile(chosen, _OUTER, axis=0)
  largest = np.iinfo(pixels.dtype).max if pixels.dtype.kind in 'iu' else 1.0

  def show(images: Any) -> np.ndarray:
    x = _chosen(np.asarray(images)).astype(np.float64)
    if np.asarray(images).dtype != pixels.dtype:
      x = x * largest
    x = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return _rgb(np.round(255 * x).astype(np.uint8))

  return show


def _eight_bits(images: Any) -> np.ndarray:
  x = np.asarray(images)
  return x if x.dtype == np.uint8 else np.round(255 * x).astype(np.uint8)


def _chosen(pixels: np.ndarray) -> np.ndarray:
  return pixels[..., :RGB]


def _rgb(pixels: np.ndarray) -> np.ndarray:
  """Returns [..., 3] of one, two or three channels."""
  if pixels.shape[-1] == 1:
    return np.repeat(pixels, RGB, axis=-1)
  missing = RGB - pixels.shape[-1]
  widths = [(0, 0)] * (pixels.ndim - 1) + [(0, missing)]
  return np.pad(pixels, widths)
