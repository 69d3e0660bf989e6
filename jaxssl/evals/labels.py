"""Which labels and classes an evaluation counts.

Classes are matched by name. A single class is no classification: whatever is
answered would be right.
"""

from collections.abc import Sequence
import dataclasses
import functools
import logging
from typing import Any, NamedTuple

import numpy as np

from jaxssl import errors
from jaxssl.data.labels import IMBALANCE
from jaxssl.data.source import Source
from jaxssl.evals.features import Features

_log = logging.getLogger(__name__)
_NAMED = 3


class Both(NamedTuple):
  """Both splits of one data set, all labels known.

  Attributes:
    train: features of the training split.
    test: features of the test split, its labels in the numbers of `train`.
    num_classes: number of classes of both.
  """

  train: Features
  test: Features
  num_classes: int


def require(evaluation: Any, *sources: Source) -> None:
  """Refuses sources without classes; the `check` of classifications.

  Raises:
    jaxssl.errors.UserError: if a source has no labels, or a single class.
  """
  del evaluation
  for source in sources:
    if source.class_names is None:
      raise errors.UserError(
        f'{source.name} has no labels, and an evaluation needs them; give '
        '--data with labels, for example a folder with one subfolder per class'
      )
    if len(source.class_names) == 1:
      raise _single(source.name, source.class_names[0])
    _warn_of_names(source.class_names)


def of_both(train: Features, test: Features) -> Both:
  """Returns the labelled rows of both splits, and the number of classes.

  Raises:
    jaxssl.errors.UserError: if no label of a split is known, a split has images
      of a single class, or the test split has images of a class that the
      training split does not name.
  """
  train = known(train, 'train')
  test = matched(known(test, 'test'), train.class_names)
  for split, data in (('train', train), ('test', test)):
    require_several(data.labels, split, data.class_names)
  _warn_of_unseen(train, test)
  return Both(train, test, max(train.num_classes, test.num_classes))


def known(data: Features, split: str) -> Features:
  """Returns the rows whose label is known.

  Args:
    data: features of a split.
    split: its name, for the message.

  Raises:
    jaxssl.errors.UserError: if no label is known.
  """
  rows = data.labels >= 0
  if not rows.any():
    raise errors.UserError(
      f'no image of the {split} split has a label; this evaluation needs '
      'labels, for example one subfolder per class'
    )
  if rows.all():
    return data
  return dataclasses.replace(
    data, features=data.features[rows], labels=data.labels[rows]
  )


def matched(data: Features, class_names: Sequence[str]) -> Features:
  """Returns features with the labels of other class names, by name.

  Args:
    data: features of the test split, with its own labels and names.
    class_names: class names of the training split. Where either has no names,
      equal labels are the same class.

  Raises:
    jaxssl.errors.UserError: if images are of a class that is not among the
      names, or the name of their class stands for two.
  """
  class_names = tuple(class_names)
  if not class_names or data.class_names in ((), class_names):
    return data
  place = {name: number for number, name in enumerate(class_names)}
  own = np.unique(data.labels[data.labels >= 0]).tolist()
  used = [data.class_names[label] for label in own]
  for name in used:
    if name not in place:
      raise errors.UserError(
        f'the test split has images of class {name!r}, which the training '
        f'split lacks (it has {_some(class_names)}); give splits of one data '
        'set'
      )
    if class_names.count(name) > 1 or data.class_names.count(name) > 1:
      raise errors.UserError(
        f'two classes are called {name!r}, so those of the test split cannot '
        'be told apart; rename one'
      )
  # A label of -1 meets the last entry.
  new = np.full(len(data.class_names) + 1, -1, np.int32)
  new[own] = [place[name] for name in used]
  return Features(data.features, new[data.labels], class_names)


def require_several(
  labels: np.ndarray, split: str, class_names: Sequence[str] = ()
) -> None:
  """Refuses labels of one class, and warns of classes of very unequal size.

  Args:
    labels: int [n]; -1 is unknown.
    split: name of the split, for the message.
    class_names: names of the classes, for the message.

  Raises:
    jaxssl.errors.UserError: if fewer than two classes have an image.
  """
  classes, counts = np.unique(labels[labels >= 0], return_counts=True)
  if len(classes) < 2:
    names = [
      class_names[c] if c < len(class_names) else c for c in classes.tolist()
    ]
    raise _single(f'the {split} split', *names)
  if counts.max() >= IMBALANCE * counts.min():
    _warn_once(
      f'the classes of the {split} split differ much in size, from '
      f'{counts.min()} to {counts.max()} images; read mean_per_class of the '
      'result beside top1'
    )


def mean_per_class(hits: np.ndarray, labels: np.ndarray) -> float:
  """Returns the mean over classes of the fraction that is right.

  1/|C| Σ_c mean_{i: y_i = c} hit_i, over the classes C that have a row.

  Args:
    hits: bool [n], whether a row is classified right.
    labels: int [n], its class y, all known.
  """
  total = np.bincount(labels)
  right = np.bincount(labels, hits, len(total))
  return float((right[total > 0] / total[total > 0]).mean())


def accuracies(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Returns `top1` and `mean_per_class` of predicted classes, int [n]."""
  hits = np.asarray(predicted) == labels
  return {
    'top1': float(hits.mean()),
    'mean_per_class': mean_per_class(hits, labels),
  }


def _single(what: str, *names: object) -> errors.UserError:
  of = f' ({names[0]!r})' if names else ''
  return errors.UserError(
    f'{what} has a single class{of}, which is no classification; if folders '
    'are the classes, give the folder right above them'
  )


def _warn_of_names(class_names: Sequence[str]) -> None:
  twice = [n for n in dict.fromkeys(class_names) if class_names.count(n) > 1]
  if twice:
    _warn_once(
      f'two classes have the same name: {_some(twice)}; they count as different'
    )


def _warn_of_unseen(train: Features, test: Features) -> None:
  unseen = ~np.isin(test.labels, train.labels)
  if unseen.any():
    _warn_once(
      f'{unseen.sum()} test images are of classes without a training image '
      'and count as wrong'
    )


# Every protocol and every baseline looks at the same data.
@functools.cache
def _warn_once(text: str) -> None:
  _log.warning('%s', text)


def _some(names: Sequence[str]) -> str:
  more = ', ...' if len(names) > _NAMED else ''
  return ', '.join(map(repr, names[:_NAMED])) + more
