"""Few-shot classification: a linear classifier from a handful of labels.

The measure of how far labels can be saved: a few labelled images of each class
are drawn, logistic regression is fitted on their frozen features, and the test
split is classified; again for other draws, because the choice of one image a
class moves the result by points. CLIP's paper (arXiv 2103.00020, figure 6)
draws such curves.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from jaxssl import errors
from jaxssl.evals import labels
from jaxssl.evals import logistic_regression as regression
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.table import headline
from jaxssl.fields import Count, Positive, check_fields

# As `logistic.Logistic`'s last fit.
_TOLERANCE, _MAX_ITERATIONS = 1e-9, 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShot:
  """Logistic regression on a few labelled images per class.

  Draw d takes the first k rows of one shuffle of each class, so the images of
  one shot are among those of two. Features are centred and scaled as in
  `logistic.Logistic`, by the drawn images alone; λ is fixed, because one image
  per class leaves none to choose it on.

  Attributes:
    shots: k, labelled images per class; the last gives the headline, so the
      largest should come last.
    draws: how often they are drawn.
    penalty: λ of the fits (scikit-learn's default).
    seed: seed of the draws.
  """

  name = 'fewshot-v2'
  needs: ClassVar[type] = FrozenFeatures
  shots: tuple[Count, ...] = (1, 2, 4, 8, 16)
  draws: Count = 5
  penalty: Positive = 1.0
  seed: int = 0

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)
    if not self.shots:
      raise errors.UserError('few-shot needs a number of shots')

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """Measures the accuracy; rows without a label are ignored.

    Args:
      train: features to draw from.
      test: features of the test split.

    Returns:
      For each k, `top1_<k>shot`, the mean over the draws of the fraction of
      test rows classified right, and `std_<k>shot`, its standard deviation over
      draws (n - 1 in the denominator; 0 for one draw); `top1` and
      `mean_per_class`, the means for the last k; `num_test`, `num_classes`.

    Raises:
      jaxssl.errors.UserError: if a split has no label, or names other classes,
        or a class has fewer than k images.
    """
    train, test, _ = labels.of_both(train, test)
    _check_enough(train, max(self.shots))
    results: dict[str, float] = {}
    per_class: dict[int, float] = {}
    for k in self.shots:
      draws = [
        self._accuracies(train, test, _draw(train.labels, k, self.seed + d))
        for d in range(self.draws)
      ]
      top1 = [draw['top1'] for draw in draws]
      per_class[k] = float(np.mean([draw['mean_per_class'] for draw in draws]))
      spread = float(np.std(top1, ddof=1)) if self.draws > 1 else 0.0
      results[f'top1_{k}shot'] = float(np.mean(top1))
      results[f'std_{k}shot'] = spread
    return {
      'top1': results[f'top1_{self.shots[-1]}shot'],
      'mean_per_class': per_class[self.shots[-1]],
      **results,
      'num_test': len(test.labels),
      'num_classes': len(np.unique(train.labels)),
    }

  def _accuracies(
    self, train: Features, test: Features, rows: np.ndarray
  ) -> dict[str, float]:
    """Returns the accuracies of a classifier fitted on these rows."""
    drawn = Features(train.features[rows], train.labels[rows])
    drawn, test = regression.centred_and_scaled(drawn, test)
    classifier = regression.fit(
      drawn.features,
      drawn.labels,
      penalty=self.penalty,
      max_iterations=_MAX_ITERATIONS,
      tolerance=_TOLERANCE,
    )
    return labels.accuracies(classifier.predict(test.features), test.labels)


def _check_enough(train: Features, most: int) -> None:
  classes, counts = np.unique(train.labels, return_counts=True)
  fewest = counts.argmin()
  if counts[fewest] < most:
    label = int(classes[fewest])
    names = train.class_names
    name = repr(names[label]) if label < len(names) else label
    raise errors.UserError(
      f'class {name} has {counts[fewest]} labelled training images, fewer than '
      f'{most} shots; give smaller shots, for example --shots 1 2'
    )


def _draw(all_labels: np.ndarray, k: int, seed: int) -> np.ndarray:
  """Returns k rows of each class, int [classes · k]."""
  random = np.random.default_rng(seed)
  chosen = [
    random.permutation(np.flatnonzero(all_labels == label))[:k]
    for label in np.unique(all_labels)
  ]
  return np.concatenate(chosen)
