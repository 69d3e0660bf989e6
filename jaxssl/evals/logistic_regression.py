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
  max_iterations: int,
  tolerance: float,
  start: Classifier | None = None,
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
    max_iterations: limit of L-BFGS steps.
    tolerance: ends when no entry of the gradient of the mean loss is larger
      (scikit-learn: 1e-4).
    start: a classifier to start from, for example of the next larger penalty;
      zeros if None.

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


def judged(
  classifier: Classifier, train: Features, test: Features
) -> dict[str, float]:
  """Returns what all protocols say of the last fit."""
  return {
    'top1': top1(classifier, test),
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
