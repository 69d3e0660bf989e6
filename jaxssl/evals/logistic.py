"""Logistic regression on features, its penalty chosen on held-out rows.

The transfer protocol of SimCLR (arXiv:2002.05709, appendix B.8, after Kornblith
et al. 2019, arXiv:1805.08974).
"""

import dataclasses
from typing import ClassVar

from jaxssl.evals import holdout, labels
from jaxssl.evals import logistic_regression as regression
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.table import headline
from jaxssl.fields import Count, MaskRatio, Positive, check_fields

# Of the largest gradient entry of the mean loss, for the last fit.
_TOLERANCE = 1e-9
# To choose a penalty, held-out accuracy has to stand still, not the weights.
_SWEEP_TOLERANCE = 1e-5
_SWEEP_ITERATIONS = 200
# Fits with weaker and weaker penalties take ever longer and overfit more.
_PATIENCE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logistic:
  """Multinomial logistic regression by L-BFGS, penalty chosen on held-out rows.

  The features are centred and divided by one number, the root of their mean
  variance over the training rows. That changes no model (the bias takes the
  centre up, and λ the factor), only the meaning of λ, which is then the same
  for every encoder, and the number of iterations. Dimensions keep their
  relative scale: dividing each by its own deviation would be another protocol.

  λ is chosen by accuracy on held-out training rows (the larger of equals), from
  the strongest on, each fit starting from the last with at most 200 iterations,
  until three in a row were no better; the classifier is then fitted on all
  training rows.

  Attributes:
    penalties: values of λ = 1/C to choose from; SimCLR sweeps 45 over the same
      range, this is one per decade.
    validation_share: share of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of the last fit.
  """

  name = 'logistic-v2'
  needs: ClassVar[type] = FrozenFeatures
  penalties: tuple[Positive, ...] = tuple(10.0**e for e in range(5, -7, -1))
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
      `top1`, the fraction of test rows classified right, and `mean_per_class`,
      its mean over classes; `validation_top1` and
      `penalty` of the choice; `converged` (0 or 1) and `iterations` of the last
      fit; `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if a split has no label, or names other classes,
        or no class has two training rows.
    """
    train, test, _ = labels.of_both(train, test)
    train, test = regression.centred_and_scaled(train, test)
    part, validation = holdout.stratified(
      train, share=self.validation_share, seed=self.seed
    )
    scores = self._sweep(part, validation)
    best = max(scores, key=lambda penalty: scores[penalty])
    classifier = regression.fit(
      train.features,
      train.labels,
      penalty=best,
      max_iterations=self.max_iterations,
      tolerance=_TOLERANCE,
    )
    return {
      **regression.judged(classifier, train, test),
      'validation_top1': scores[best],
      'penalty': best,
    }

  def _sweep(self, part: Features, validation: Features) -> dict[float, float]:
    """Returns the validation accuracy by penalty, from the strongest on."""
    classifier, scores, since_best = None, {}, 0
    for penalty in sorted(self.penalties, reverse=True):
      classifier = regression.fit(
        part.features,
        part.labels,
        penalty=penalty,
        start=classifier,
        tolerance=_SWEEP_TOLERANCE,
        max_iterations=_SWEEP_ITERATIONS,
      )
      top1 = regression.top1(classifier, validation)
      since_best = (
        0 if top1 > max(scores.values(), default=-1.0) else (since_best + 1)
      )
      scores[penalty] = top1
      if since_best == _PATIENCE:
        break
    return scores
