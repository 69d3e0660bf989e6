"""Multinomial logistic regression on features, by L-BFGS.

The convex form of the linear probe: no batch size, no learning rate, no number
of epochs; one number, the strength of the L2 penalty, is chosen on held-out
training rows. It is the transfer protocol of SimCLR (arXiv:2002.05709, appendix
B.8, after Kornblith et al. 2019, arXiv:1805.08974) and of CLIP
(arXiv:2103.00020, appendix A.3).
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from jaxssl import errors
from jaxssl.evals import features as features_lib
from jaxssl.evals import holdout
from jaxssl.evals.features import Features

# SimCLR sweeps 45 values over the same range; this is one a decade.
PENALTIES = tuple(10.0**e for e in range(5, -7, -1))
MAX_ITERATIONS = 1000
# Of the largest gradient entry of the mean loss (scikit-learn: 1e-4).
TOLERANCE = 1e-9
# To choose a penalty, held-out accuracy has to stand still, not the weights.
SWEEP_TOLERANCE = 1e-5
SWEEP_ITERATIONS = 200
# Fits with weaker and weaker penalties take ever longer and overfit more.
PATIENCE = 3

# CLIP's sweep: C from 10^-6 to 10^6 with eight steps a decade, of which every
# 16th is tried first.
CLIP_STEPS, CLIP_STRIDE = 96, 16
# scikit-learn's, which the authors used.
CLIP_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Classifier:
  """A linear classifier and how its fit ended.

  Attributes:
    kernel: float32 [D, C].
    bias: float32 [C].
    iterations: steps of L-BFGS.
    converged: False if it stopped at the limit of iterations.
  """

  kernel: np.ndarray
  bias: np.ndarray
  iterations: int
  converged: bool

  def predict(self, features: np.ndarray) -> np.ndarray:
    """Returns the classes int [n] of features [n, D]."""
    return (features @ self.kernel + self.bias).argmax(axis=1)


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  *,
  penalty: float,
  num_classes: int,
  start: Classifier | None = None,
  max_iterations: int = MAX_ITERATIONS,
  tolerance: float = TOLERANCE,
) -> Classifier:
  """Fits a classifier.

  minimise Σ_i CE(softmax(x_i W + b), y_i) + λ/2 ‖W‖²

  The bias carries no penalty. With λ = 1/C this is scikit-learn's
  `LogisticRegression(C=C)`. Loss and gradient are computed on the default
  device in float32, where all features must fit; SciPy's L-BFGS-B drives them.

  Args:
    features: float32 [n, D].
    labels: int [n] in [0, num_classes).
    penalty: λ, above 0.
    num_classes: C; classes without a row get no vote of their own.
    start: a classifier to start from, for example of the next larger penalty;
      zeros if None.
    max_iterations: limit of L-BFGS steps.
    tolerance: end when no entry of the gradient of the mean loss is larger.

  Raises:
    jaxssl.errors.UserError: if the penalty is not above 0.
  """
  if penalty <= 0:
    raise errors.UserError(f'the penalty must be above 0, got {penalty}')
  shape = features.shape[1] + 1, num_classes
  first = np.zeros(shape)
  if start is not None:
    first = np.concatenate([start.kernel, start.bias[None]])
  features, labels = jnp.asarray(features), jnp.asarray(labels)

  def objective(flat):
    weights = jnp.asarray(flat.reshape(shape), jnp.float32)
    value, gradient = _value_and_grad(weights, features, labels, penalty)
    # SciPy's line search works in float64.
    return float(value), np.asarray(gradient, np.float64).ravel()

  found = scipy.optimize.minimize(
    objective,
    first.ravel().astype(np.float64),
    jac=True,
    method='L-BFGS-B',
    # ftol 0: go on until float32 shows no progress. A bound relative to 1
    # stops early where weak penalties make the loss itself tiny.
    options={'maxiter': max_iterations, 'gtol': tolerance, 'ftol': 0.0},
  )
  weights = found.x.reshape(shape).astype(np.float32)
  return Classifier(
    kernel=weights[:-1],
    bias=weights[-1],
    iterations=int(found.nit),
    converged=found.status != 1,
  )


@jax.jit
@jax.value_and_grad
def _value_and_grad(
  weights: jax.Array, features: jax.Array, labels: jax.Array, penalty: float
) -> jax.Array:
  """Objective of `fit` over n, and its gradient; weights [D + 1, C]."""
  kernel, bias = weights[:-1], weights[-1:]
  logits = jnp.matmul(features, kernel, precision='highest') + bias
  squares = penalty / (2 * len(labels)) * jnp.sum(kernel**2)
  return _cross_entropy(logits, labels).mean() + squares


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """CE_i = log(1 + Σ_{j≠y_i} exp(z_ij − z_iy_i)), [n].

  Its relative error stays that of float32 however small it is. The usual
  log Σ_j exp(z_j) − z_y has an absolute error, which hides the minimum where
  the classes separate and the penalty is weak.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=1)
  is_own = jnp.arange(logits.shape[1])[None] == labels[:, None]
  margin = jnp.where(is_own, -jnp.inf, logits - own)
  # Keeps exp in range; 0 for rows that are classified right.
  shift = jax.lax.stop_gradient(jnp.maximum(margin.max(axis=1), 0))
  others = jnp.exp(margin - shift[:, None]).sum(axis=1)
  return shift + jnp.log1p(jnp.expm1(-shift) + others)


def logistic_eval(
  train: Features,
  test: Features,
  *,
  penalties: Sequence[float] = PENALTIES,
  validation_share: float = 0.2,
  seed: int = 0,
  max_iterations: int = MAX_ITERATIONS,
) -> dict[str, float]:
  """Measures the accuracy of logistic regression.

  The features are centred and divided by one number, the root of their mean
  variance over the training rows. That changes no model (the bias takes the
  centre up, and λ the factor), only the meaning of λ, which is then the same
  for every encoder, and the number of iterations. Dimensions keep their
  relative scale: dividing each by its own deviation would be another protocol.

  λ is chosen by accuracy on held-out training rows (the larger of equals), from
  the strongest on, each fit starting from the last, until three in a row were
  no better; the classifier is then fitted on all training rows.

  Args:
    train: features of the training split; rows without a label are ignored.
    test: features of the test split; rows without a label are ignored.
    penalties: values of λ to choose from.
    validation_share: part of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of the last fit; those of the choice have 200.

  Returns:
    `top1`, the fraction of test rows classified right; `validation_top1` and
    `penalty` of the choice; `converged` (0 or 1) and `iterations` of the last
    fit; `num_train`, `num_test`.

  Raises:
    jaxssl.errors.UserError: if a split has no label, or names other classes, or
      no class has two training rows.
  """
  num_classes = features_lib.num_classes_of(train, test)
  train = features_lib.labelled(train, 'train')
  test = features_lib.labelled(test, 'test')
  train, test = centred_and_scaled(train, test)
  part, validation = holdout.stratified(
    train, share=validation_share, seed=seed
  )
  limits = {'num_classes': num_classes, 'max_iterations': max_iterations}
  scores = _sweep(part, validation, penalties, num_classes)
  best = max(scores, key=scores.get)
  classifier = fit(train.features, train.labels, penalty=best, **limits)
  return {
    **_judged(classifier, train, test),
    'validation_top1': scores[best],
    'penalty': best,
  }


def clip_logistic_eval(
  train: Features,
  test: Features,
  *,
  validation_share: float = 0.2,
  seed: int = 0,
  max_iterations: int = MAX_ITERATIONS,
) -> dict[str, float]:
  """Measures the accuracy of logistic regression as CLIP's paper does.

  The features stay as they are. C = 1/λ is chosen by accuracy on held-out
  training rows among 10^(-6 + i/8), i = 0 ... 96: first every second decade,
  then both neighbours of the best at half the distance, down to an eighth of a
  decade (the smallest of equals). Every fit starts from zero. The classifier is
  then fitted on all training rows.

  Args:
    train: features of the training split; rows without a label are ignored.
    test: features of the test split; rows without a label are ignored.
    validation_share: part of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of each fit.

  Returns:
    As `logistic_eval`, with `c` for `penalty`, and `fits`: how many values were
    tried.

  Raises:
    jaxssl.errors.UserError: as `logistic_eval`.

  References:
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, 2021, https://arxiv.org/abs/2103.00020 (appendix A.3).

  Differs from the paper: data sets with a validation split of their own are not
  treated apart.
  """
  num_classes = features_lib.num_classes_of(train, test)
  train = features_lib.labelled(train, 'train')
  test = features_lib.labelled(test, 'test')
  part, validation = holdout.stratified(
    train, share=validation_share, seed=seed
  )

  def fitted(data: Features, step: int) -> Classifier:
    return fit(
      data.features,
      data.labels,
      penalty=1 / _clip_c(step),
      num_classes=num_classes,
      max_iterations=max_iterations,
      tolerance=CLIP_TOLERANCE,
    )

  scores = halving_search(lambda step: _top1(fitted(part, step), validation))
  best = best_of(scores)
  classifier = fitted(train, best)
  return {
    **_judged(classifier, train, test),
    'validation_top1': scores[best],
    'c': _clip_c(best),
    'fits': len(scores),
  }


def _judged(
  classifier: Classifier, train: Features, test: Features
) -> dict[str, float]:
  """Returns what both protocols say of the last fit."""
  return {
    'top1': _top1(classifier, test),
    'converged': int(classifier.converged),
    'iterations': classifier.iterations,
    'num_train': len(train.labels),
    'num_test': len(test.labels),
  }


def _clip_c(step: int) -> float:
  return 10.0 ** (-6 + step / 8)


def halving_search(score: Callable[[int], float]) -> dict[int, float]:
  """Looks for the largest score on CLIP's grid without trying all of it.

  The stride of the first tries is halved until it is 1, with both neighbours of
  the best so far tried each time.

  Args:
    score: of an index from 0 to `CLIP_STEPS`.

  Returns:
    The scores of what was tried.
  """
  stride = CLIP_STRIDE
  scores = {index: score(index) for index in range(0, CLIP_STEPS + 1, stride)}
  while stride > 1:
    stride //= 2
    best = best_of(scores)
    for index in (best - stride, best + stride):
      if 0 <= index <= CLIP_STEPS:
        scores[index] = score(index)
  return scores


def best_of(scores: Mapping[int, float]) -> int:
  """Returns the index of the largest score, the first of equals."""
  return min(scores, key=lambda index: (-scores[index], index))


def _sweep(
  part: Features,
  validation: Features,
  penalties: Sequence[float],
  num_classes: int,
) -> dict[float, float]:
  """Returns the validation accuracy by penalty, from the strongest on."""
  classifier, scores, since_best = None, {}, 0
  for penalty in sorted(penalties, reverse=True):
    classifier = fit(
      part.features,
      part.labels,
      penalty=penalty,
      start=classifier,
      num_classes=num_classes,
      tolerance=SWEEP_TOLERANCE,
      max_iterations=SWEEP_ITERATIONS,
    )
    top1 = _top1(classifier, validation)
    since_best = (
      0 if top1 > max(scores.values(), default=-1.0) else (since_best + 1)
    )
    scores[penalty] = top1
    if since_best == PATIENCE:
      break
  return scores


def centred_and_scaled(*splits: Features) -> list[Features]:
  """Returns all splits, shifted and scaled by the statistics of the first.

  One factor for all dimensions: the root of their mean variance.

  Args:
    *splits: features of the same dimensions.
  """
  centre = splits[0].features.mean(axis=0)
  # Features without any spread stay as they are.
  scale = np.sqrt(splits[0].features.var(axis=0).mean()) or 1.0
  return [
    dataclasses.replace(data, features=(data.features - centre) / scale)
    for data in splits
  ]


def _top1(classifier: Classifier, data: Features) -> float:
  return float((classifier.predict(data.features) == data.labels).mean())
