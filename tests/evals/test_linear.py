import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import linear
from jaxssl.evals.features import Features
from tests.evals.clusters import make_clusters

RATES = (0.003, 0.1, 3.0)
TRAIN, TEST = make_clusters(0, 300), make_clusters(1, 200)


def probe(train, test, **changes):
  settings = {'learning_rates': RATES, 'batch_size': 64, 'epochs': 5} | changes
  return linear.Linear(**settings).run(train, test)


@pytest.fixture(scope='module')
def report():
  return probe(TRAIN, TEST)


def test_probe_of_mae_does_not_feel_the_scale_of_the_features():
  settings = {
    'optimizer': 'lars',
    'normalize': True,
    'learning_rates': (100.0,),
    'warmup_epochs': 1.0,
    # So many that nothing is left of where the running statistics started.
    'epochs': 40,
  }
  result = probe(TRAIN, TEST, **settings)
  assert result['top1'] > 0.75
  stretch = np.logspace(-1, 2, 8, dtype=np.float32)

  def stretched(data):
    return Features(stretch * data.features + 5 * stretch, data.labels)

  other = probe(stretched(TRAIN), stretched(TEST), **settings)
  assert other['top1'] == pytest.approx(result['top1'], abs=0.011)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'optimizer': 'larc'}, "did you mean 'lars'"),
    ({'warmup_epochs': 5.0}, 'warmup_steps'),
  ],
)
def test_settings_that_are_not_possible(changes, message):
  with pytest.raises(errors.UserError, match=message):
    probe(TRAIN, TEST, **changes)


def test_probe_finds_linear_classes(report):
  # The best linear rule is known: nearest centre, under equal round noise.
  centres = np.random.default_rng(7).normal(size=(3, 8))
  distance = ((TEST.features[:, None] - centres) ** 2).sum(-1)
  best = (distance.argmin(1) == TEST.labels).mean()
  assert report['top1'] == pytest.approx(best, abs=0.04)
  assert report['num_train'] == 300


def test_headline_is_the_entry_chosen_on_held_out_rows(report):
  assert report['learning_rate'] in RATES
  assert report['top1'] == report[f'top1_lr{report["learning_rate"]:g}']


def test_choice_does_not_look_at_the_test_labels(report):
  wrong = Features(TEST.features, (TEST.labels + 1) % 3)
  assert probe(TRAIN, wrong)['learning_rate'] == report['learning_rate']


def test_rows_without_label_are_ignored():
  labels = np.where(np.arange(300) < 100, -1, TRAIN.labels)
  partly = Features(TRAIN.features, labels)
  known = Features(TRAIN.features[100:], TRAIN.labels[100:])
  assert probe(partly, TEST) == probe(known, TEST)


def test_fewer_rows_than_a_batch():
  few = Features(TRAIN.features[:20], TRAIN.labels[:20])
  assert probe(few, TEST)['num_train'] == 20


def test_batches_hold_every_row_once_an_epoch():
  rows = np.arange(10, dtype=np.float32)[:, None]
  batches = linear._batches(Features(rows, np.arange(10)), 4, seed=0)
  seen = np.concatenate([next(batches)['image'][:, 0] for _ in range(5)])
  for epoch in (seen[:10], seen[10:]):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
  assert (seen[:10] != seen[10:]).any()


@pytest.mark.parametrize('name', ['batch_size', 'epochs'])
def test_a_probe_of_nothing_is_refused(name):
  with pytest.raises(errors.UserError, match=f'Linear {name} is 0; it must'):
    linear.Linear(**{name: 0})
