"""Multinomial logistic regression by L-BFGS.

The convex form of a linear classifier: no batch size, no learning rate, no
number of epochs; one number, the strength of the L2 penalty.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from jaxssl import errors
from jaxssl.evals.features import Features
from jaxssl.evals.labels import accuracies

# Of the terms of the gradient, how much may be left. Measured on digits with
# penalties from 1e-2 to 100: the objective is then at most 1e-4 of itself above
# the optimum. float32 reaches about half of it.
_REMAINDER = 1e-3


@dataclasses.dataclass(frozen=True)
class Classifier:
  """A linear classifier and how its fit ended.

  Attributes:
    kernel: float32 [D, C].
    bias: float32 [C].
    classes: int [C], the label that each column stands for.
    iterations: steps of L-BFGS.
    converged: whether the gradient vanishes at the end, see `fit`.
  """

  kernel: np.ndarray
  bias: np.ndarray
  classes: np.ndarray
  iterations: int
  converged: bool

  def predict(self, features: np.ndarray) -> np.ndarray:
    """Returns the labels int [n] of features [n, D]."""
    return self.classes[(features @ self.kernel + self.bias).argmax(axis=1)]


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  *,
  penalty: float,
  max_iterations: int,
  tolerance: float,
  start: Classifier | None = None,
  centre: bool = True,
) -> Classifier:
  """Fits a classifier.

  minimise Σ_i CE(softmax(x_i W + b), y_i) + λ/2 ‖W‖²

  The bias carries no penalty. With λ = 1/C this is scikit-learn's
  `LogisticRegression(C=C)`. As there, the classes are those that have a row:
  the bias of any other would fall for ever. Of two classes scikit-learn fits
  the difference alone, so the penalty is then λ/2 ‖w_1 − w_0‖², which is λ ‖W‖²
  at the optimum, where w_0 = −w_1.

  With `centre`, the features are centred for the fit, and the bias takes the
  centre up: the optimum stays where it is, and an offset of the features costs
  neither iterations nor digits. Loss and gradient are computed on the default
  device in float32, where all features must fit twice; SciPy's L-BFGS-B drives
  them.

  The fit has converged if no entry of the last gradient is above `tolerance`,
  or if the terms of the gradient (of each row, and of the penalty) cancel to
  1e-3 of their sizes, ‖g‖ <= 1e-3 ‖Σ |terms|‖. How L-BFGS ended says nothing of
  it: float32 can show no progress far from the optimum.

  Args:
    features: float32 [n, D].
    labels: int [n].
    penalty: λ, above 0.
    max_iterations: limit of L-BFGS steps.
    tolerance: ends when no entry of the gradient of the mean loss is larger
      (scikit-learn: 1e-4).
    start: a classifier of the same classes to start from, for example of the
      next larger penalty; zeros if None.
    centre: False to fit the features as they are, where a large tolerance
      makes the path to the optimum part of the result.

  Raises:
    jaxssl.errors.UserError: if the penalty is not above 0.
  """
  if penalty <= 0:
    raise errors.UserError(f'the penalty must be above 0, got {penalty}')
  classes, labels = np.unique(labels, return_inverse=True)
  shape = features.shape[1] + 1, len(classes)
  # In float64, so that a large offset leaves no digits of the bias behind.
  middle = features.mean(axis=0, dtype=np.float64) * centre
  first = np.zeros(shape)
  if start is not None:
    bias = start.bias + middle @ start.kernel
    first = np.concatenate([start.kernel, bias[None]])
  rows = jnp.asarray(features - middle.astype(np.float32))
  targets = jnp.asarray(labels)
  if len(classes) == 2:
    penalty = 2 * penalty

  def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
    weights = jnp.asarray(flat.reshape(shape), jnp.float32)
    value, gradient = _value_and_grad(weights, rows, targets, penalty)
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
  largest, remainder = _remains(weights, rows, targets, penalty)
  kernel, bias = weights[:-1], weights[-1] - middle @ weights[:-1]
  return Classifier(
    kernel=kernel,
    bias=bias.astype(np.float32),
    classes=classes,
    iterations=int(found.nit),
    converged=bool(largest <= tolerance or remainder <= _REMAINDER),
  )


@jax.jit
@jax.value_and_grad
def _value_and_grad(
  weights: jax.Array, features: jax.Array, labels: jax.Array, penalty: float
) -> jax.Array:
  """Objective of `fit` over n, and its gradient; weights [D + 1, C]."""
  squares = penalty / (2 * len(labels)) * jnp.sum(weights[:-1] ** 2)
  return _cross_entropy(_logits(weights, features), labels).mean() + squares


@jax.jit
def _remains(
  weights: jax.Array, features: jax.Array, labels: jax.Array, penalty: float
) -> tuple[jax.Array, jax.Array]:
  """Returns what is left of the gradient: its largest entry, and its share.

  The share is that of its norm in the norm of what it would be if no two of its
  terms had opposite signs; it has no unit.
  """

  def total(logits: jax.Array) -> jax.Array:
    return _cross_entropy(logits, labels).mean()

  residuals = jax.grad(total)(_logits(weights, features))

  def add_up(
    weights: jax.Array, features: jax.Array, residuals: jax.Array
  ) -> jax.Array:
    kernel = jnp.matmul(features.T, residuals, precision='highest')
    kernel += penalty / len(labels) * weights[:-1]
    return jnp.concatenate([kernel, residuals.sum(axis=0, keepdims=True)])

  terms = weights, features, residuals
  gradient, sizes = add_up(*terms), add_up(*map(jnp.abs, terms))
  share = jnp.linalg.norm(gradient) / jnp.linalg.norm(sizes)
  return jnp.abs(gradient).max(), share


def _logits(weights: jax.Array, features: jax.Array) -> jax.Array:
  """Logits [n, C] of weights [D + 1, C], the last row of which is the bias."""
  product = jnp.matmul(features, weights[:-1], precision='highest')
  return product + weights[-1:]


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


def judged(
  classifier: Classifier, train: Features, test: Features
) -> dict[str, float]:
  """Returns what all protocols say of the last fit.

  Args:
    classifier: what was fitted.
    train: the features that it was fitted to.
    test: the features that it is judged on.
  """
  return {
    **accuracies(classifier.predict(test.features), test.labels),
    'converged': int(classifier.converged),
    'iterations': classifier.iterations,
    'num_train': len(train.labels),
    'num_test': len(test.labels),
  }


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


def top1(classifier: Classifier, data: Features) -> float:
  """Returns the fraction of rows that are classified right."""
  return float((classifier.predict(data.features) == data.labels).mean())
