"""Which labels and classes an evaluation counts."""

import dataclasses
from typing import Any, NamedTuple

from jaxssl import errors
from jaxssl.data.source import Source
from jaxssl.evals.features import Features


class Both(NamedTuple):
  """Both splits of one data set, all labels known.

  Attributes:
    train: features of the training split.
    test: features of the test split.
    num_classes: number of classes of both.
  """

  train: Features
  test: Features
  num_classes: int


def require(evaluation: Any, *sources: Source) -> None:
  """Refuses sources without labels; the `check` of classifications.

  Raises:
    jaxssl.errors.UserError: if a source has no labels.
  """
  del evaluation
  for source in sources:
    if source.class_names is None:
      raise errors.UserError(
        f'{source.name} has no labels, and an evaluation needs them; give '
        '--data with labels, for example a folder with one subfolder per class'
      )


def of_both(train: Features, test: Features) -> Both:
  """Returns the labelled rows of both splits, and the number of classes.

  Raises:
    jaxssl.errors.UserError: if no label of a split is known, or the splits name
      different classes.
  """
  num_classes = num_classes_of(train, test)
  return Both(known(train, 'train'), known(test, 'test'), num_classes)


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


def num_classes_of(train: Features, test: Features) -> int:
  """Returns the number of classes of two splits of one data set.

  Raises:
    jaxssl.errors.UserError: if the splits name different classes, so that equal
      labels would mean different things.
  """
  if train.class_names and test.class_names:
    for ours, theirs in zip(train.class_names, test.class_names, strict=False):
      if ours != theirs:
        raise errors.UserError(
          f'the splits have different classes: {ours!r} in train stands '
          f'where test has {theirs!r}'
        )
  return max(train.num_classes, test.num_classes)
