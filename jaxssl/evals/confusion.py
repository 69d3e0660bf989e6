"""How often pixels of one class were taken for another, and what follows."""

from collections.abc import Iterable, Sequence

import numpy as np

from jaxssl import errors
from jaxssl.evals.pixel_classes import PixelClasses


def count(
  truth: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
  """Returns the confusion matrix, int64 [K, K]: row is true, column answered.

  Args:
    truth: int, any shape; below 0 where it is unknown: such pixels do not
      count.
    predicted: int in 0 ... K-1, of the same shape.
    num_classes: K, larger than every class.
  """
  known = truth >= 0
  pairs = truth[known].astype(np.int64) * num_classes + predicted[known]
  counts = np.bincount(pairs, minlength=num_classes**2)
  return counts.reshape(num_classes, num_classes)


def ious(matrix: np.ndarray) -> np.ndarray:
  """Returns the intersection over union of each class, float64 [K].

  IoU_c = TP_c / (TP_c + FP_c + FN_c), pixels of all pictures together (not a
  mean over pictures), as PASCAL VOC, ADE20K and mmsegmentation count; NaN for
  a class that was neither there nor answered.

  Args:
    matrix: from `count`.
  """
  right = np.diag(matrix).astype(np.float64)
  union = matrix.sum(axis=0) + matrix.sum(axis=1) - right
  with np.errstate(invalid='ignore'):
    return right / union


def metrics(matrix: np.ndarray, names: Sequence[str]) -> dict[str, float]:
  """Returns the numbers of a segmentation.

  Args:
    matrix: from `count`, with at least one pixel.
    names: names of the K classes.

  Returns:
    `miou`, the mean of the IoUs that are a number; `pixel_accuracy`;
    `class_accuracy`, the mean over the classes that are there of the share of
    their pixels that is right; `iou_<name>` of each class that is there or was
    answered; `num_pixels`.
  """
  found = ious(matrix)
  right, total = np.diag(matrix), matrix.sum(axis=1)
  there = total > 0
  return {
    'miou': float(np.nanmean(found)),
    'pixel_accuracy': float(right.sum() / total.sum()),
    'class_accuracy': float((right[there] / total[there]).mean()),
    **{
      f'iou_{name}': float(value)
      for name, value in zip(names, found, strict=True)
      if np.isfinite(value)
    },
    'num_pixels': int(total.sum()),
  }


def of_constant(counts: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """Returns the confusion matrix of always answering the most frequent class.

  Args:
    counts: pixels of each class that the answer is chosen by, int [K].
    truth: pixels of each class that it is judged by, int [K].
  """
  matrix = np.zeros((len(counts), len(counts)), np.int64)
  matrix[:, counts.argmax()] = truth
  return matrix


def report(
  answers: Iterable[tuple[np.ndarray, np.ndarray]], classes: PixelClasses
) -> dict[str, float]:
  """Returns the numbers of a segmentation of pictures, one after another.

  Args:
    answers: true and answered classes of the pixels of each picture.
    classes: of the masks.

  Returns:
    What `metrics` returns, and `constant_miou`, the `miou` of always answering
    the most frequent training class.

  Raises:
    jaxssl.errors.UserError: if no pixel of any picture has a known class.
  """
  size = len(classes.names)
  matrix = np.zeros((size, size), np.int64)
  for truth, predicted in answers:
    matrix += count(truth, predicted, size)
  if not matrix.any():
    raise errors.UserError('no pixel of the test pictures has a known class')
  constant = ious(of_constant(classes.counts, matrix.sum(axis=1)))
  return {
    **metrics(matrix, classes.names),
    'constant_miou': float(np.nanmean(constant)),
  }
