"""Logistic regression on features as CLIP's paper chooses its penalty."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import ClassVar

from jaxssl.evals import holdout, labels
from jaxssl.evals import logistic_regression as regression
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.table import headline
from jaxssl.fields import Count, MaskRatio, check_fields

# C from 10^-6 to 10^6 with eight steps per decade, of which every 16th is tried
# first.
STEPS, _STRIDE = 96, 16
# scikit-learn's, which the authors used.
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipLogistic:
  """Logistic regression with the search for the penalty of CLIP's paper.

  The features stay as they are. C = 1/λ is chosen by accuracy on held-out
  training rows among 10^(-6 + i/8), i = 0 ... 96: first every second decade,
  then both neighbours of the best at half the distance, down to an eighth of a
  decade (the smallest of equals). Every fit starts from zero. The classifier is
  then fitted on all training rows.

  References:
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, 2021, https://arxiv.org/abs/2103.00020 (appendix A.3).

  Differs from the paper: data sets with a validation split of their own are not
  treated apart.

  Attributes:
    validation_share: share of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of each fit.
  """

  name = 'logistic_clip-v2'
  needs: ClassVar[type] = FrozenFeatures
  validation_share: MaskRatio = 0.2
  seed: int = 0
  max_iterations: Count = 1000

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """Measures the accuracy; rows without a label are ignored.

    Args:
      train: features of the training split.
      test: features of the test split.

    Returns:
      As `logistic.Logistic.run`, with `c` for `penalty`, and `fits`: how many
      values were tried.

    Raises:
      jaxssl.errors.UserError: as `logistic.Logistic.run`.
    """
    train, test, _ = labels.of_both(train, test)
    part, validation = holdout.stratified(
      train, share=self.validation_share, seed=self.seed
    )

    def fitted(data: Features, step: int) -> regression.Classifier:
      return regression.fit(
        data.features,
        data.labels,
        penalty=1 / _c(step),
        max_iterations=self.max_iterations,
        tolerance=_TOLERANCE,
        # So do the authors; their tolerance ends some way before the optimum.
        centre=False,
      )

    scores = halving_search(
      lambda step: regression.top1(fitted(part, step), validation)
    )
    best = best_of(scores)
    return {
      **regression.judged(fitted(train, best), train, test),
      'validation_top1': scores[best],
      'c': _c(best),
      'fits': len(scores),
    }


def _c(step: int) -> float:
  return 10.0 ** (-6 + step / 8)


def halving_search(score: Callable[[int], float]) -> dict[int, float]:
  """Looks for the largest score on CLIP's grid without trying all of it.

  The stride of the first tries is halved until it is 1, with both neighbours of
  the best so far tried each time.

  Args:
    score: function from an index, 0 to `STEPS`, to a score.

  Returns:
    The scores of what was tried.
  """
  stride = _STRIDE
  scores = {index: score(index) for index in range(0, STEPS + 1, stride)}
  while stride > 1:
    stride //= 2
    best = best_of(scores)
    for index in (best - stride, best + stride):
      if 0 <= index <= STEPS:
        scores[index] = score(index)
  return scores


def best_of(scores: Mapping[int, float]) -> int:
  """Returns the index of the largest score, the first of equals."""
  return min(scores, key=lambda index: (-scores[index], index))
