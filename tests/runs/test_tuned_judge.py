"""Columns of a fine-tuned classifier meet the classes of other data by name."""

import json
from unittest import mock

import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.runs import fine_tuning
from jaxssl.runs.tuned_judge import TunedJudge

CLASSES = ('cat', 'dog', 'fox')
# A picture of a class is bright in one colour, which its column looks for.
CLASSIFIER = {'kernel': np.eye(3), 'bias': np.zeros(3)}


def _source(*class_names):
  labels = np.repeat(np.arange(len(class_names)), 4)
  colours = [CLASSES.index(class_names[label]) for label in labels]
  images = np.zeros((len(labels), 8, 8, 3), np.uint8)
  images[np.arange(len(labels)), ..., colours] = 255
  return data.Arrays(images, labels, class_names=class_names, name='some')


def _top1(source, classes=CLASSES):
  judge = TunedJudge(
    exported=mock.Mock(preprocessing=usual(8)),
    classes=classes,
    sources={'reference': source},
    class_map=None,
    limit=None,
  )
  return judge._judge(_colours, 'reference', source, CLASSIFIER)['top1']


def _colours(images):
  return np.asarray(images, np.float32).mean((1, 2))


@pytest.mark.parametrize(
  'names', [CLASSES, ('cat', 'fox'), ('fox', 'dog', 'cat')]
)
def test_data_of_fewer_classes_or_another_order(names):
  assert _top1(_source(*names)) == 1.0


def test_a_classifier_of_other_classes_is_refused():
  with pytest.raises(UserError, match='3 classes and the data 2'):
    _top1(_source('cat', 'dog'), classes=('cat', 'dog'))


def test_classes_are_those_of_the_fine_tuning(tmp_path):
  path = tmp_path / 'finetune.json'
  path.write_text(json.dumps({'classes': CLASSES}))
  assert fine_tuning.classes_of(tmp_path, _source('fox')) == CLASSES
  images = np.zeros((2, 8, 8, 3), np.uint8)
  other = data.Arrays(images, np.arange(2), class_names=('cat', 'cow'))
  with pytest.raises(UserError, match=r"1 classes .* such as 'cow'"):
    fine_tuning.classes_of(tmp_path, other)
  # One of an earlier version does not say.
  path.write_text('{}')
  assert fine_tuning.classes_of(tmp_path, _source('cat', 'fox')) == (
    'cat',
    'fox',
  )
