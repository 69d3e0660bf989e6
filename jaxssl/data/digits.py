"""The handwritten digits that ship with scikit-learn: tiny, for smoke tests."""

import importlib.util
import pathlib

import numpy as np

from jaxssl.data.arrays import Arrays
from jaxssl.data.optional import require
from jaxssl.data.order import shuffle
from jaxssl.errors import UserError, unknown

TEST_SHARE = 0.2


def digits(*, split: str = 'train', size: int = 32) -> Arrays:
  """Loads 1797 digits of 8 x 8 pixels and 17 gray levels, as RGB.

  The split is fixed: a shuffle of the records, of which the last 20 % are for
  test. Pixels are repeated to reach `size`.

  Args:
    split: `'train'` (1438 records) or `'test'` (359).
    size: side of the images, a multiple of 8.

  Returns:
    A source of images, uint8 [size, size, 3].

  Raises:
    UserError: for an unknown split, another size, or without scikit-learn.
  """
  if split not in ('train', 'test'):
    raise unknown('split of digits', split, ('train', 'test'))
  if size <= 0 or size % 8:
    raise UserError(f'digits: size {size} is not a multiple of 8')
  table = _table()
  pixels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)
  count = len(table)
  permutation = shuffle(np.arange(count), num_examples=count, key=0)
  border = round(count * (1 - TEST_SHARE))
  chosen = permutation[:border] if split == 'train' else permutation[border:]
  images = np.rint(pixels[chosen] * (255 / 16)).astype(np.uint8)
  images = images.repeat(size // 8, axis=1).repeat(size // 8, axis=2)
  names = tuple(str(name) for name in range(10))
  return Arrays(
    images, labels[chosen], class_names=names, name=f'digits/{split}'
  )


def _table() -> np.ndarray:
  """Returns 64 pixels and the label of each digit, float64 [1797, 65]."""
  found = importlib.util.find_spec('sklearn')
  if found is None or found.origin is None:
    require('sklearn', extra='photos')  # says how to install it
    raise UserError('digits: scikit-learn has no files here')
  # What `load_digits` reads. To import it takes a second of every start.
  folder = pathlib.Path(found.origin).parent
  return np.loadtxt(folder / 'datasets/data/digits.csv.gz', delimiter=',')
