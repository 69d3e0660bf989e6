import dataclasses

import numpy as np
import pytest

from jaxssl.evals import logistic
from jaxssl.evals import logistic_regression as regression
from jaxssl.evals.features import Features
from tests.evals.digits import split_digits

digits = pytest.fixture(split_digits, scope='module')


def fit(data, penalty, **settings):
  limits = {'max_iterations': 1000, 'tolerance': 1e-9} | settings
  return regression.fit(data.features, data.labels, penalty=penalty, **limits)


def top1(classifier, data):
  return (classifier.predict(data.features) == data.labels).mean()


def test_scale_and_offset_of_features_do_not_matter(digits):
  penalties = (100.0, 10.0)
  plain = logistic.Logistic(penalties=penalties).run(*digits)
  moved = logistic.Logistic(penalties=penalties).run(
    *(dataclasses.replace(d, features=d.features * 1e-3 + 5) for d in digits)
  )
  # The offset costs four of float32's seven digits.
  assert moved['top1'] == pytest.approx(plain['top1'], abs=0.003)
  assert moved['penalty'] == plain['penalty']


def test_eval_equals_the_refit_of_its_choice(digits):
  found = logistic.Logistic(penalties=(1e2, 1e1, 1.0)).run(*digits)
  train, test = regression.centred_and_scaled(*digits)
  assert found['top1'] == top1(fit(train, found['penalty']), test)
  assert found['top1'] > 0.95
  assert found['converged'] == 1


def test_choice_does_not_look_at_the_test_labels(digits):
  train, test = digits
  wrong = dataclasses.replace(test, labels=(test.labels + 1) % 10)
  penalties = (1e3, 1e1)
  found = logistic.Logistic(penalties=penalties).run(train, test)
  fooled = logistic.Logistic(penalties=penalties).run(train, wrong)
  assert fooled['penalty'] == found['penalty']
  assert fooled['validation_top1'] == found['validation_top1']


def test_rows_without_label_are_ignored(digits):
  train, test = digits
  unknown = np.arange(len(train.labels)) < 300
  partly = dataclasses.replace(
    train, labels=np.where(unknown, -1, train.labels)
  )
  known = Features(train.features[300:], train.labels[300:])
  evaluation = logistic.Logistic(penalties=(10.0,))
  assert evaluation.run(partly, test) == evaluation.run(known, test)


def test_equal_features_are_classified_as_the_largest_class():
  features = np.ones((9, 2), np.float32)
  labels = np.array([0] * 3 + [1] * 6, np.int32)
  data = Features(features, labels)
  found = logistic.Logistic(penalties=(1.0,)).run(data, data)
  assert found['top1'] == pytest.approx(6 / 9)


def test_sweep_ends_after_three_penalties_without_gain(digits, monkeypatch):
  top1 = iter([0.1, 0.5, 0.4, 0.5, 0.3])
  monkeypatch.setattr(regression, 'top1', lambda *_: next(top1))
  monkeypatch.setattr(regression, 'fit', lambda *_, **__: None)
  scores = logistic.Logistic()._sweep(*digits)
  assert scores == {1e5: 0.1, 1e4: 0.5, 1e3: 0.4, 1e2: 0.5, 1e1: 0.3}
