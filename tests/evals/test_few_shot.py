import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import few_shot, logistic_regression
from jaxssl.evals.features import Features


def make_clusters(seed, rows, classes=4, dim=16, noise=1.0):
  centres = np.random.default_rng(7).normal(size=(classes, dim))
  random = np.random.default_rng(seed)
  labels = (np.arange(rows) % classes).astype(np.int32)
  features = centres[labels] + noise * random.normal(size=(rows, dim))
  return Features(features.astype(np.float32), labels, tuple('abcd'[:classes]))


TRAIN, TEST = make_clusters(0, 80), make_clusters(1, 200)


def run(train=TRAIN, test=TEST, **changes):
  settings = {'shots': (1, 4, 16), 'draws': 3} | changes
  return few_shot.FewShot(**settings).run(train, test)


def test_more_shots_classify_better_and_vary_less():
  result = run()
  assert result['top1_1shot'] < result['top1_4shot'] < result['top1_16shot']
  assert result['std_16shot'] < result['std_1shot']
  assert result['top1'] == result['top1_16shot']


def test_mean_and_spread_are_those_of_the_draws():
  single = [run(draws=1, seed=d, shots=(2,))['top1'] for d in range(3)]
  result = run(shots=(2,))
  assert result['top1'] == pytest.approx(np.mean(single))
  assert result['std_2shot'] == pytest.approx(np.std(single, ddof=1))


def test_draw_takes_so_many_of_each_class_and_nests():
  few, more = (few_shot._draw(TRAIN.labels, k, 0) for k in (2, 5))
  for rows, k in ((few, 2), (more, 5)):
    assert len(set(rows)) == 4 * k
    np.testing.assert_array_equal(np.bincount(TRAIN.labels[rows]), [k] * 4)
  assert set(few) < set(more)


def test_all_images_of_each_class_equal_a_fit_on_the_whole_split():
  train, test = logistic_regression.centred_and_scaled(TRAIN, TEST)
  whole = logistic_regression.fit(
    train.features,
    train.labels,
    penalty=1.0,
    max_iterations=1000,
    tolerance=1e-9,
  )
  expected = (whole.predict(test.features) == test.labels).mean()
  assert run(shots=(20,), draws=1)['top1'] == pytest.approx(expected, abs=0.006)


def test_rows_without_label_are_never_drawn():
  labels = np.where(np.arange(80) < 40, -1, TRAIN.labels)
  partly = Features(TRAIN.features, labels, TRAIN.class_names)
  rest = Features(TRAIN.features[40:], TRAIN.labels[40:], TRAIN.class_names)
  assert run(partly, shots=(2,)) == run(rest, shots=(2,))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'shots': (21,)}, "class 'a' has 20 .* fewer than 21 shots"),
    ({'shots': ()}, 'needs a number of shots'),
    ({'shots': (0,)}, 'shots is 0; it must be positive'),
    ({'draws': 0}, 'draws is 0; it must be positive'),
  ],
)
def test_what_cannot_be_drawn_is_a_user_error(changes, message):
  with pytest.raises(errors.UserError, match=message):
    run(**changes)
