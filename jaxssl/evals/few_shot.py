"""Few-shot classification: a linear classifier from a handful of labels.

The measure of how far labels can be saved: a few labelled images of each class
are drawn, logistic regression is fitted on their frozen features, and the test
split is classified; again for other draws, because the choice of one image a
class moves the result by points. CLIP's paper (arXiv 2103.00020, figure 6)
draws such curves.
"""

from collections.abc import Sequence

import numpy as np

from jaxssl import errors
from jaxssl.evals import features as features_lib
from jaxssl.evals import logistic
from jaxssl.evals.features import Features

SHOTS = (1, 2, 4, 8, 16)
DRAWS = 5
# scikit-learn's default. One image a class leaves none to choose it on.
PENALTY = 1.0


def few_shot_eval(
  train: Features,
  test: Features,
  *,
  shots: Sequence[int] = SHOTS,
  draws: int = DRAWS,
  penalty: float = PENALTY,
  seed: int = 0,
) -> dict[str, float]:
  """Measures logistic regression on a few labelled images a class.

  Draw d takes the first k rows of one shuffle of each class, so the images of
  one shot are among those of two. Features are centred and scaled as in
  `logistic.logistic_eval`, by the drawn images alone; λ is fixed.

  Args:
    train: features to draw from; rows without a label are ignored.
    test: features of the test split; rows without a label are ignored.
    shots: k, images a class; the largest should come last.
    draws: how often images are drawn.
    penalty: λ of `logistic.fit`.
    seed: seed of the draws.

  Returns:
    For each k, `top1_<k>shot`, the mean over the draws of the fraction of test
    rows classified right, and `std_<k>shot`, its standard deviation over draws
    (n − 1 in the denominator; 0 for one draw); `top1`, the mean for the last
    k; `num_test`, `num_classes`.

  Raises:
    jaxssl.errors.UserError: if a split has no label, or names other classes, a
      class has fewer than k images, or there is nothing to draw.
  """
  if draws < 1 or not shots or min(shots) < 1:
    raise errors.UserError(
      f'few-shot needs shots and draws of at least 1, got {shots} and {draws}'
    )
  num_classes = features_lib.num_classes_of(train, test)
  train = features_lib.labelled(train, 'train')
  test = features_lib.labelled(test, 'test')
  _check_enough(train, max(shots))
  results = {}
  for k in shots:
    top1 = [
      _top1(train, test, _draw(train.labels, k, seed + d), penalty, num_classes)
      for d in range(draws)
    ]
    results[f'top1_{k}shot'] = float(np.mean(top1))
    results[f'std_{k}shot'] = float(np.std(top1, ddof=1)) if draws > 1 else 0.0
  return {
    'top1': results[f'top1_{shots[-1]}shot'],
    **results,
    'num_test': len(test.labels),
    'num_classes': len(np.unique(train.labels)),
  }


def _check_enough(train: Features, most: int) -> None:
  labels, counts = np.unique(train.labels, return_counts=True)
  fewest = counts.argmin()
  if counts[fewest] < most:
    label = int(labels[fewest])
    names = train.class_names
    name = repr(names[label]) if label < len(names) else label
    raise errors.UserError(
      f'class {name} has {counts[fewest]} labelled training images, fewer than '
      f'{most} shots; give smaller shots, for example --set shots=1,2'
    )


def _draw(labels: np.ndarray, k: int, seed: int) -> np.ndarray:
  """Returns k rows of each class, int [classes · k]."""
  random = np.random.default_rng(seed)
  chosen = [
    random.permutation(np.flatnonzero(labels == label))[:k]
    for label in np.unique(labels)
  ]
  return np.concatenate(chosen)


def _top1(
  train: Features,
  test: Features,
  rows: np.ndarray,
  penalty: float,
  num_classes: int,
) -> float:
  """Returns the accuracy of a classifier fitted on these rows."""
  drawn = Features(train.features[rows], train.labels[rows])
  drawn, test = logistic.centred_and_scaled(drawn, test)
  classifier = logistic.fit(
    drawn.features, drawn.labels, penalty=penalty, num_classes=num_classes
  )
  return float((classifier.predict(test.features) == test.labels).mean())
