"""Small pictures of single records, whole, for people to look at."""

from collections.abc import Sequence

import numpy as np

from jaxssl.data import decode, raster
from jaxssl.data.decode import UnreadableError
from jaxssl.data.optional import require
from jaxssl.data.places import read_file
from jaxssl.data.shown import show_like
from jaxssl.data.source import Source


def thumbnails(
  source: Source, indices: Sequence[int], *, side: int
) -> list[np.ndarray]:
  """Returns records reduced to a side, in their own shape.

  Args:
    source: where they are from.
    indices: numbers of records.
    side: length of the longer side in pixels; smaller pictures are enlarged
      pixel by pixel.

  Returns:
    uint8 [h, w, 3] each, 1 x 1 where a record cannot be read.
  """
  # One by one: a picture may be large, its thumbnail is not.
  return [_thumbnail(source, index, side) for index in indices]


def _thumbnail(source: Source, index: int, side: int) -> np.ndarray:
  (content,) = source.fetch(np.array([index])).content
  if source.content == 'paths':
    content = read_file(content)
  try:
    # Sources of pixels give arrays, the others bytes.
    pixels = _decoded(content) if isinstance(content, bytes) else content
  except UnreadableError:
    return np.full((1, 1, 3), 255, np.uint8)
  pil = require('PIL.Image', extra='data')
  longer = max(pixels.shape[:2])
  height, width = (max(1, n * side // longer) for n in pixels.shape[:2])
  kernel = pil.Resampling.NEAREST if longer < side else pil.Resampling.BICUBIC
  image = pil.fromarray(pixels).resize((width, height), kernel)
  return np.asarray(image)


def _decoded(content: bytes) -> np.ndarray:
  """Returns uint8 [h, w, 3], as a person sees it."""
  layout = raster.look(content)
  if layout is None or layout.is_ordinary:
    return decode.exact(content)
  pixels = np.nan_to_num(raster.as_stored(content))
  return show_like(pixels)(pixels)
