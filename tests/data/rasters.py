"""Small pictures of many channels and 16 bits, in every layout of TIFF."""

import io

import numpy as np
from PIL import Image
import tifffile

CHANNELS = 5


def pixels(number: int, channels: int = CHANNELS) -> np.ndarray:
  """Values of 12 bits, another level in each channel; the first name it."""
  rng = np.random.default_rng(number)
  noise = rng.integers(0, 64, (12, 12 + number, channels))
  values = noise + 600 * np.arange(1, channels + 1)
  values[0, 0] = number
  return values.astype(np.uint16)


def tiff(values: np.ndarray, **options) -> bytes:
  """A TIFF of values [H, W, C], by default one sample after the other."""
  usual = {'photometric': 'minisblack'}
  if values.shape[2] == 1:
    values = values[..., 0]
  else:
    usual['planarconfig'] = 'contig'
  stream = io.BytesIO()
  tifffile.imwrite(stream, values, **(usual | options))
  return stream.getvalue()


def planes(values: np.ndarray, **options) -> bytes:
  """The same with one channel after the other; pages by default."""
  stream = io.BytesIO()
  usual = {'photometric': 'minisblack'}
  tifffile.imwrite(stream, np.moveaxis(values, -1, 0), **(usual | options))
  return stream.getvalue()


def gray_png(values: np.ndarray) -> bytes:
  """A 16-bit PNG of values [H, W, 1]."""
  stream = io.BytesIO()
  Image.fromarray(values[..., 0]).save(stream, 'PNG')
  return stream.getvalue()
