import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxssl.errors import UserError
from jaxssl.evals import confusion
from jaxssl.evals.pixel_classes import PixelClasses

NAMES = tuple('abcde')


def _pixels(seed, missing=()):
  random = np.random.default_rng(seed)
  truth = random.integers(-1, 5, (3, 20, 30))
  predicted = np.where(random.random(truth.shape) < 0.6, truth, 0)
  predicted = np.where(predicted < 0, random.integers(0, 5), predicted)
  for label in missing:
    truth[truth == label] = -1
    predicted[predicted == label] = 0
  return truth, predicted


@pytest.mark.parametrize('missing', [(), (2,), (1, 4)])
def test_numbers_are_those_of_scikit_learn(missing):
  truth, predicted = _pixels(0, missing)
  known = truth >= 0
  matrix = confusion.count(truth, predicted, 5)
  expected = sklearn_metrics.confusion_matrix(
    truth[known], predicted[known], labels=range(5)
  )
  np.testing.assert_array_equal(matrix, expected)
  there = [label for label in range(5) if label not in missing]
  jaccard = sklearn_metrics.jaccard_score(
    truth[known], predicted[known], labels=there, average=None
  )
  found = confusion.metrics(matrix, NAMES)
  np.testing.assert_allclose(
    [found[f'iou_{NAMES[label]}'] for label in there], jaccard
  )
  assert found['miou'] == pytest.approx(jaccard.mean())
  assert found['pixel_accuracy'] == pytest.approx(
    sklearn_metrics.accuracy_score(truth[known], predicted[known])
  )
  assert found['class_accuracy'] == pytest.approx(
    sklearn_metrics.balanced_accuracy_score(truth[known], predicted[known])
  )
  assert found['num_pixels'] == known.sum()
  assert {f'iou_{NAMES[label]}' for label in missing}.isdisjoint(found)


def test_a_class_that_is_only_answered_counts_as_missed():
  matrix = confusion.count(np.zeros(4, int), np.array([0, 0, 0, 1]), 3)
  found = confusion.ious(matrix)
  np.testing.assert_array_equal(found, [0.75, 0, np.nan])
  assert confusion.metrics(matrix, 'abc')['miou'] == 0.375


@pytest.mark.reference
def test_mean_iou_is_that_of_torchmetrics():
  torch = pytest.importorskip('torch')
  from torchmetrics import classification

  jaccard = classification.MulticlassJaccardIndex(
    num_classes=5, ignore_index=-1, average='macro'
  )
  matrix = np.zeros((5, 5), np.int64)
  for seed in range(3):
    truth, predicted = _pixels(seed)
    jaccard.update(torch.tensor(predicted), torch.tensor(truth))
    matrix += confusion.count(truth, predicted, 5)
  found = confusion.metrics(matrix, NAMES)['miou']
  assert found == pytest.approx(jaccard.compute().item(), abs=1e-6)


def test_a_report_compares_with_the_most_frequent_training_class():
  truth = np.array([0, 0, 1, 1, 1, -1])
  classes = PixelClasses(('a', 'b'), np.array([5, 4]))
  found = confusion.report([(truth, truth.clip(0))] * 2, classes)
  assert found['miou'] == 1
  assert found['constant_miou'] == pytest.approx((4 / 10 + 0) / 2)
  assert found['num_pixels'] == 10
  with pytest.raises(UserError, match='no pixel of the test pictures'):
    confusion.report([(truth[-1:], truth[:1])], classes)
