import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from jaxssl import errors
from jaxssl.evals import logistic
from jaxssl.evals.features import Features


@pytest.fixture(scope='module')
def digits():
  images, labels = load_digits(return_X_y=True)
  order = np.random.default_rng(0).permutation(len(labels))
  images, labels = images[order].astype(np.float32), labels[order]
  labels = labels.astype(np.int32)
  return (
    Features(images[:900], labels[:900]),
    Features(images[900:], labels[900:]),
  )


def fit(data, penalty, **settings):
  return logistic.fit(
    data.features, data.labels, penalty=penalty, num_classes=10, **settings
  )


def top1(classifier, data):
  return (classifier.predict(data.features) == data.labels).mean()


@pytest.mark.parametrize('c', [0.001, 0.1, 1.0])
def test_coefficients_equal_scikit_learn(digits, c):
  train, _ = logistic.centred_and_scaled(*digits)
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
  train, test = logistic.centred_and_scaled(*digits)
  theirs = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(
    train.features.astype(np.float64), train.labels
  )
  ours = top1(fit(train, 1 / c), test)
  wanted = theirs.score(test.features, test.labels)
  assert ours == pytest.approx(wanted, abs=0.002)


def test_gradient_vanishes_at_the_solution(digits):
  train, _ = logistic.centred_and_scaled(*digits)
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
  found = logistic._cross_entropy(logits, labels)
  # A difference of logits of size s is rounded by s * 2^-24, which is then the
  # relative error of its exponential.
  rounding = max(1, min(size, 30)) * 1e-6
  np.testing.assert_allclose(found, wanted, rtol=rounding, atol=1e-15)


def test_start_does_not_change_the_solution(digits):
  train, _ = logistic.centred_and_scaled(*digits)
  cold = fit(train, 1.0)
  warm = fit(train, 1.0, start=fit(train, 100.0))
  np.testing.assert_allclose(
    warm.kernel, cold.kernel, atol=1e-2 * np.abs(cold.kernel).max()
  )


def test_limit_of_iterations_is_told(digits):
  assert not fit(digits[0], 1e-3, max_iterations=3).converged


def test_scale_and_offset_of_features_do_not_matter(digits):
  penalties = (100.0, 10.0)
  plain = logistic.logistic_eval(*digits, penalties=penalties)
  moved = logistic.logistic_eval(
    *(dataclasses.replace(d, features=d.features * 1e-3 + 5) for d in digits),
    penalties=penalties,
  )
  # The offset costs four of float32's seven digits.
  assert moved['top1'] == pytest.approx(plain['top1'], abs=0.003)
  assert moved['penalty'] == plain['penalty']


def test_eval_equals_the_refit_of_its_choice(digits):
  found = logistic.logistic_eval(*digits, penalties=(1e2, 1e1, 1.0))
  train, test = logistic.centred_and_scaled(*digits)
  assert found['top1'] == top1(fit(train, found['penalty']), test)
  assert found['top1'] > 0.95
  assert found['converged'] == 1


def test_choice_does_not_look_at_the_test_labels(digits):
  train, test = digits
  wrong = dataclasses.replace(test, labels=(test.labels + 1) % 10)
  penalties = (1e3, 1e1)
  found = logistic.logistic_eval(train, test, penalties=penalties)
  fooled = logistic.logistic_eval(train, wrong, penalties=penalties)
  assert fooled['penalty'] == found['penalty']
  assert fooled['validation_top1'] == found['validation_top1']


def test_rows_without_label_are_ignored(digits):
  train, test = digits
  unknown = np.arange(len(train.labels)) < 300
  partly = dataclasses.replace(
    train, labels=np.where(unknown, -1, train.labels)
  )
  known = Features(train.features[300:], train.labels[300:])
  penalties = (10.0,)
  assert logistic.logistic_eval(
    partly, test, penalties=penalties
  ) == logistic.logistic_eval(known, test, penalties=penalties)


def test_equal_features_are_classified_as_the_largest_class():
  features = np.ones((9, 2), np.float32)
  labels = np.array([0] * 3 + [1] * 6, np.int32)
  data = Features(features, labels)
  found = logistic.logistic_eval(data, data, penalties=(1.0,))
  assert found['top1'] == pytest.approx(6 / 9)


def test_penalty_must_be_above_zero(digits):
  with pytest.raises(errors.UserError, match='penalty must be above 0'):
    fit(digits[0], 0.0)


def test_sweep_ends_after_three_penalties_without_gain(digits, monkeypatch):
  top1 = iter([0.1, 0.5, 0.4, 0.5, 0.3])
  monkeypatch.setattr(logistic, '_top1', lambda *_: next(top1))
  monkeypatch.setattr(logistic, 'fit', lambda *_, **__: None)
  scores = logistic._sweep(*digits, logistic.PENALTIES, 10)
  assert scores == {1e5: 0.1, 1e4: 0.5, 1e3: 0.4, 1e2: 0.5, 1e1: 0.3}


def test_clip_sweep_finds_the_peak_of_a_hill_with_few_fits():
  peak = 53
  scores = logistic.halving_search(lambda index: -abs(index - peak))
  assert logistic.best_of(scores) == peak
  assert len(scores) == 7 + 4 * 2


def test_clip_sweep_stays_on_the_grid_and_takes_the_first_of_equals():
  scores = logistic.halving_search(lambda index: 0.0)
  assert logistic.best_of(scores) == 0
  assert min(scores) == 0
  scores = logistic.halving_search(float)
  assert max(scores) == logistic.best_of(scores) == logistic.CLIP_STEPS


def test_clip_probe_equals_scikit_learn_with_the_c_it_chose(digits):
  train, test = digits
  found = logistic.clip_logistic_eval(train, test)
  theirs = LogisticRegression(C=found['c'], max_iter=1000).fit(
    train.features, train.labels
  )
  # The last fits stop at the same tolerance, along other paths.
  wanted = theirs.score(test.features, test.labels)
  assert found['top1'] == pytest.approx(wanted, abs=0.005)
  assert 9 <= found['fits'] <= 15
