import dataclasses

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.linear_model import LogisticRegression

from jaxssl import errors
from jaxssl.evals import logistic_regression as regression
from tests.evals.digits import split_digits

digits = pytest.fixture(split_digits, scope='module')


def fit(data, penalty, **settings):
  settings = {
    'max_iterations': 1000,
    'tolerance': 1e-9,
  } | settings
  return regression.fit(data.features, data.labels, penalty=penalty, **settings)


def reference(data, c):
  return LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(
    data.features.astype(np.float64), data.labels
  )


def objective(kernel, bias, data, penalty):
  logits = data.features.astype(np.float64) @ kernel + bias
  chosen = scipy.special.log_softmax(logits, axis=1)
  chosen = chosen[np.arange(len(logits)), data.labels]
  return -chosen.sum() + penalty / 2 * (kernel.astype(np.float64) ** 2).sum()


def top1(classifier, data):
  return (classifier.predict(data.features) == data.labels).mean()


@pytest.mark.parametrize('c', [0.001, 0.1, 1.0])
def test_coefficients_equal_scikit_learn(digits, c):
  train, _ = regression.centred_and_scaled(*digits)
  ours = fit(train, 1 / c)
  theirs = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(
    train.features.astype(np.float64), train.labels
  )
  # float32 against float64; the two stop at slightly different points of a
  # flat bowl. Softmax leaves a common shift of the biases free.
  size = np.abs(theirs.coef_).max()
  np.testing.assert_allclose(ours.kernel.T, theirs.coef_, atol=1e-2 * size)
  np.testing.assert_allclose(
    ours.bias - ours.bias.mean(),
    theirs.intercept_ - theirs.intercept_.mean(),
    atol=1e-2 * max(1, np.abs(theirs.intercept_).max()),
  )
  assert ours.converged


@pytest.mark.parametrize('c', [1e-3, 1e-1, 1e1, 1e3])
def test_accuracy_is_within_02_points_of_scikit_learn(digits, c):
  train, test = regression.centred_and_scaled(*digits)
  theirs = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(
    train.features.astype(np.float64), train.labels
  )
  ours = top1(fit(train, 1 / c), test)
  wanted = theirs.score(test.features, test.labels)
  assert ours == pytest.approx(wanted, abs=0.002)


def test_gradient_vanishes_at_the_solution(digits):
  train, _ = regression.centred_and_scaled(*digits)
  found = fit(train, 10.0)
  logits = train.features @ found.kernel + found.bias
  logits -= logits.max(axis=1, keepdims=True)
  probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  error = probability - np.eye(10)[train.labels]
  gradient = train.features.T @ error + 10.0 * found.kernel
  assert np.abs(gradient / len(error)).max() < 1e-4
  # No penalty on the bias: the mean probabilities are the class frequencies.
  assert np.abs(error.mean(axis=0)).max() < 1e-4


@pytest.mark.parametrize('size', [1e-3, 1.0, 30.0, 1e4])
def test_cross_entropy_has_a_small_relative_error(size):
  random = np.random.default_rng(0)
  logits = (size * random.normal(size=(50, 4))).astype(np.float32)
  labels = random.integers(4, size=50)
  # The plain formula in 64 bits of mantissa, good to 1e-18 of the logits.
  wide = logits.astype(np.longdouble)
  top = wide.max(axis=1, keepdims=True)
  total = np.log(np.exp(wide - top).sum(axis=1)) + top[:, 0]
  wanted = (total - wide[np.arange(50), labels]).astype(np.float64)
  found = regression._cross_entropy(logits, labels)
  # A difference of logits of size s is rounded by s * 2^-24, which is then the
  # relative error of its exponential.
  rounding = max(1, min(size, 30)) * 1e-6
  np.testing.assert_allclose(found, wanted, rtol=rounding, atol=1e-15)


def test_start_does_not_change_the_solution(digits):
  train, _ = regression.centred_and_scaled(*digits)
  cold = fit(train, 1.0)
  warm = fit(train, 1.0, start=fit(train, 100.0))
  np.testing.assert_allclose(
    warm.kernel, cold.kernel, atol=1e-2 * np.abs(cold.kernel).max()
  )


def test_limit_of_iterations_is_told(digits):
  assert not fit(digits[0], 1e-3, max_iterations=3).converged


def test_penalty_must_be_above_zero(digits):
  with pytest.raises(errors.UserError, match='penalty must be above 0'):
    fit(digits[0], 0.0)


@pytest.mark.parametrize('offset', [0.0, 15.0])
@pytest.mark.parametrize('penalty', [1.0, 100.0])
def test_offset_of_the_features_leaves_the_optimum(digits, penalty, offset):
  train, _ = regression.centred_and_scaled(*digits)
  # The reference sees features without the offset: its optimum has the same
  # value, and 64 bits reach it there.
  theirs = reference(train, 1 / penalty)
  best = objective(theirs.coef_.T, theirs.intercept_, train, penalty)
  moved = dataclasses.replace(
    train, features=train.features + np.float32(offset)
  )
  found = fit(moved, penalty)
  assert found.converged
  reached = objective(found.kernel, found.bias, moved, penalty)
  assert reached == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize('offset', [0.0, 15.0])
@pytest.mark.parametrize('iterations', [3, 30])
def test_early_stop_is_not_convergence(digits, iterations, offset):
  train, _ = regression.centred_and_scaled(*digits)
  moved = dataclasses.replace(train, features=train.features + offset)
  assert not fit(moved, 1.0, max_iterations=iterations).converged


def test_end_of_the_solver_is_not_convergence(digits, monkeypatch):
  train, _ = regression.centred_and_scaled(*digits)
  solve = scipy.optimize.minimize

  def without_progress(*args, **kwargs):
    kwargs['options'] |= {'maxiter': 10}
    found = solve(*args, **kwargs)
    found.status = 2  # as after a line search that fails
    return found

  monkeypatch.setattr(scipy.optimize, 'minimize', without_progress)
  assert not fit(train, 1.0).converged


@pytest.mark.parametrize('c', [0.01, 1.0])
def test_penalty_of_two_classes_is_scikit_learns(digits, c):
  train, _ = regression.centred_and_scaled(*digits)
  binary = dataclasses.replace(train, labels=train.labels % 2)
  theirs = reference(binary, c)
  ours = fit(binary, 1 / c)
  # float32 against float64, as above. Twice the penalty, or half of it, moves
  # the weights by a tenth and more.
  np.testing.assert_allclose(
    ours.kernel[:, 1] - ours.kernel[:, 0],
    theirs.coef_[0],
    atol=1e-2 * np.abs(theirs.coef_).max(),
  )
  np.testing.assert_allclose(
    ours.bias[1] - ours.bias[0], theirs.intercept_[0], atol=1e-2
  )
  assert ours.converged


def test_start_of_features_with_an_offset_is_where_the_last_fit_ended(digits):
  train, _ = regression.centred_and_scaled(*digits)
  moved = dataclasses.replace(train, features=train.features + np.float32(15))
  cold = fit(moved, 10.0)
  warm = fit(moved, 10.0, start=cold)
  assert warm.iterations < cold.iterations / 2


@pytest.mark.parametrize('kept', [(3, 7), (1, 4, 9)])
def test_classes_without_a_row_are_none(digits, kept):
  """Labels may have gaps; two classes are two, however they are numbered."""
  train, test = regression.centred_and_scaled(*digits)
  rows = np.isin(train.labels, kept)
  few = dataclasses.replace(
    train, features=train.features[rows], labels=train.labels[rows]
  )
  theirs, ours = reference(few, 1.0), fit(few, 1.0)
  assert ours.converged
  np.testing.assert_array_equal(ours.classes, theirs.classes_)
  agree = ours.predict(test.features) == theirs.predict(test.features)
  assert agree.mean() > 0.995
  size = np.linalg.norm(ours.kernel @ _contrasts(len(kept)), axis=0)
  coefficients = theirs.coef_.T
  if len(kept) == 2:
    coefficients = np.concatenate([-coefficients, coefficients], axis=1) / 2
  wanted = np.linalg.norm(coefficients @ _contrasts(len(kept)), axis=0)
  np.testing.assert_allclose(size, wanted, rtol=1e-2)


def _contrasts(count):
  """Differences of the columns from the first."""
  return np.eye(count)[:, 1:] - np.eye(count)[:, :1]
