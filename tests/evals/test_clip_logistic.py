import pytest
from sklearn.linear_model import LogisticRegression

from jaxssl.evals import clip_logistic
from tests.evals.digits import split_digits

digits = pytest.fixture(split_digits, scope='module')


def test_search_finds_the_peak_of_a_hill_with_few_fits():
  peak = 53
  scores = clip_logistic.halving_search(lambda index: -abs(index - peak))
  assert clip_logistic.best_of(scores) == peak
  assert len(scores) == 7 + 4 * 2


def test_search_stays_on_the_grid_and_takes_the_first_of_equals():
  scores = clip_logistic.halving_search(lambda index: 0.0)
  assert clip_logistic.best_of(scores) == 0
  assert min(scores) == 0
  scores = clip_logistic.halving_search(float)
  assert max(scores) == clip_logistic.best_of(scores) == clip_logistic.STEPS


@pytest.mark.slow
def test_probe_equals_scikit_learn_with_the_c_it_chose(digits):
  train, test = digits
  found = clip_logistic.ClipLogistic().run(train, test)
  theirs = LogisticRegression(C=found['c'], max_iter=1000).fit(
    train.features, train.labels
  )
  # The last fits stop at the same tolerance, along other paths.
  wanted = theirs.score(test.features, test.labels)
  assert found['top1'] == pytest.approx(wanted, abs=0.005)
  assert 9 <= found['fits'] <= 15
