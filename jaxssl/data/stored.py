"""How large the pictures of a source are, without decoding them."""

import numpy as np

from jaxssl.data import raster
from jaxssl.data.places import read_file
from jaxssl.data.source import Source

_SAMPLE = 32


def mean_size(source: Source) -> tuple[float, float] | None:
  """Returns mean height and width of encoded pictures, from their headers.

  Args:
    source: at most 32 of its records are looked at, evenly spread.

  Returns:
    Pixels, before any EXIF rotation; None for a source of pixels, and if no
    header can be read.
  """
  if source.content == 'pixels':
    return None
  count = min(_SAMPLE, source.num_examples)
  indices = np.arange(count) * source.num_examples // count
  content = source.fetch(indices).content.tolist()
  if source.content == 'paths':
    content = [read_file(path) for path in content]
  sizes = [header[1:] for header in map(raster.header, content) if header]
  return tuple(np.mean(sizes, axis=0).tolist()) if sizes else None
