"""The classes of the masks of a training and a test split."""

from typing import Any, NamedTuple

import numpy as np

from jaxssl import errors
from jaxssl.data import targets
from jaxssl.data.dense import Pictures
from jaxssl.data.source import Source


class PixelClasses(NamedTuple):
  """What both splits have.

  Attributes:
    names: names of the K classes; their numbers where they have none.
    counts: training pixels of each, int64 [K].
  """

  names: tuple[str, ...]
  counts: np.ndarray


def require(evaluation: Any, *sources: Source) -> None:
  """Refuses sources without masks; the `check` of segmentations.

  Raises:
    jaxssl.errors.UserError: if a source has none.
  """
  del evaluation
  for source in sources:
    targets.require(source, 'mask')


def of_both(train: Pictures, test: Pictures) -> PixelClasses:
  """Reads the masks of both splits; the pictures are not read.

  Raises:
    jaxssl.errors.UserError: if names differ, a class has none, or the training
      masks have a single class.
  """
  names = train.class_names or test.class_names
  if test.class_names and test.class_names != names:
    raise errors.UserError(
      f'the masks of {train.source.name} and {test.source.name} have other '
      f'classes: {errors.first_of(names, 3)} and '
      f'{errors.first_of(test.class_names, 3)}'
    )
  counts, own = (_counts(pictures, names) for pictures in (train, test))
  size = max(len(names), len(counts), len(own))
  counts = np.pad(counts, (0, size - len(counts)))
  if (counts > 0).sum() < 2:
    raise errors.UserError(
      f'the masks of {train.source.name} have a single class or none: whatever '
      'is answered would be right'
    )
  return PixelClasses(names or tuple(map(str, range(size))), counts)


def _counts(pictures: Pictures, names: tuple[str, ...]) -> np.ndarray:
  """Returns the pixels of each class, int64 [largest class + 1]."""
  total = np.zeros(1, np.int64)
  for mask in pictures.only_targets():
    targets.check_classes(mask, names, pictures.source.name)
    found = np.bincount(mask[mask >= 0].ravel())
    size = max(len(total), len(found))
    total = np.pad(total, (0, size - len(total)))
    total[: len(found)] += found
  return total
