"""What an answer is worth that does not look at the pictures."""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from jaxssl.evals import labels
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures

# Metrics of an answer that is the same for everything, beside those that they
# are to be compared with.
_CONSTANT = 'constant_'
_RECALL = re.compile(r'(image|text)_to_(image|text)_r(\d+)')


def of(inputs: Any, metrics: Mapping[str, float]) -> dict[str, float]:
  """Returns the metrics of guessing, as far as they are known.

  Args:
    inputs: one of `evals.needs`, what an evaluation was run on.
    metrics: what came out.

  Returns:
    Some of the names of `metrics`, each with a fraction in [0, 1].
  """
  constant = {k: v for k, v in metrics.items() if k.startswith(_CONSTANT)}
  if constant:
    return {k.removeprefix(_CONSTANT): v for k, v in constant.items()}
  if isinstance(inputs, FrozenFeatures):
    return {'top1': most_frequent(inputs.train, inputs.test)}
  if 'num_classes' in metrics and 'top1' in metrics:
    return among_classes(metrics)
  if 'num_texts' in metrics:
    return recalls(metrics)
  return {}


def most_frequent(train: Features, test: Features) -> float:
  """Returns the share of test images in the largest class of training.

  The best answer that is the same for every image.

  Args:
    train: with labels.
    test: with labels.
  """
  train = labels.known(train, 'train')
  test = labels.matched(labels.known(test, 'test'), train.class_names)
  return float((test.labels == np.bincount(train.labels).argmax()).mean())


def among_classes(metrics: Mapping[str, float]) -> dict[str, float]:
  """Returns k / C for `top<k>` of `num_classes` C, one drawn at random."""
  count = metrics['num_classes']
  return {
    name: min(1.0, int(name[3:]) / count)
    for name in metrics
    if re.fullmatch(r'top\d+', name)
  }


def recalls(metrics: Mapping[str, float]) -> dict[str, float]:
  """Returns the recalls of a random order.

  Of n answers c are right, so none is among the first k with probability
  prod_{i<k} (1 - c / (n - i)). An image has c texts on average.

  Args:
    metrics: metrics that `retrieval_eval` returns.
  """
  found = {}
  images, texts = metrics['num_images'], metrics['num_texts']
  for name in metrics:
    match = _RECALL.fullmatch(name)
    if match is None:
      continue
    bank, right = (images, 1.0)
    if match[2] == 'text':
      bank, right = texts, texts / images
    misses = (max(0.0, 1 - right / (bank - i)) for i in range(int(match[3])))
    found[name] = 1 - math.prod(misses)
  return found
