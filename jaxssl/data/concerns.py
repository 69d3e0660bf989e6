"""What in a data set deserves a look before an hour of training."""

from collections.abc import Callable, Sequence
import itertools
from typing import Any
import unicodedata

import numpy as np

from jaxssl.data.labels import IMBALANCE
from jaxssl.data.survey import Survey, copies

_NAMED = 3
_ELONGATED = 3  # longer side / shorter side


def concerns(train: Survey, test: Survey | None) -> list[str]:
  """Returns a line for each thing that may be wrong with the data.

  Args:
    train: what was found in the training split.
    test: the same of the test split; None if there is none.
  """
  splits = {'train': train} if test is None else {'train': train, 'test': test}
  found = []
  for name, survey in splits.items():
    found += _unreadable(name, survey)
    found += _elongated(name, survey)
    found += _copies(f'{name}: copies of another picture', survey, survey)
  if test is not None:
    found += _copies('test: copies of training pictures', train, test)
  if train.source.class_names is None:
    return found
  found += _names(train.source.class_names)
  for name, survey in splits.items():
    found += _classes(name, survey, train.source.class_names)
  return found + _imbalance(train)


def _line(
  text: str,
  items: Sequence[Any] | np.ndarray,
  name_of: Callable[[Any], str] = str,
) -> list[str]:
  """Returns the line that counts some things and names the first."""
  if not len(items):
    return []
  names = list(map(name_of, itertools.islice(items, _NAMED)))
  more = ', ...' if len(items) > _NAMED else ''
  return [f'{text}: {len(items)} ({", ".join(names)}{more})']


def _describer(survey: Survey) -> Callable[[int], str]:
  return lambda row: survey.source.describe(int(survey.index[row]))


def _unreadable(name: str, survey: Survey) -> list[str]:
  reasons = [f'{name}: {why}' for name, why in survey.reasons.items()]
  return _line(f'{name}: cannot be read', reasons)


def _elongated(name: str, survey: Survey) -> list[str]:
  short, long = survey.size.min(axis=1), survey.size.max(axis=1)
  return _line(
    f'{name}: over {_ELONGATED} times as long as wide, and most evaluations '
    'see the middle square only',
    np.flatnonzero(long > _ELONGATED * short),
    _describer(survey),
  )


def _copies(text: str, first: Survey, second: Survey) -> list[str]:
  pairs = copies(first, None if first is second else second)
  labels = first.label[pairs[:, 0]], second.label[pairs[:, 1]]
  differ = (labels[0] != labels[1]) & (np.minimum(*labels) >= 0)
  original, copy = _describer(first), _describer(second)

  def name_of(pair: np.ndarray) -> str:
    return f'{original(pair[0])} = {copy(pair[1])}'

  return [
    *_line(f'{text}, byte for byte', pairs, name_of),
    *_line(f'{text} that have another label', pairs[differ], name_of),
  ]


def _names(class_names: Sequence[str]) -> list[str]:
  """Classes whose names differ in case, blanks or punctuation only."""
  groups: dict[str, list[str]] = {}
  for name in class_names:
    text = unicodedata.normalize('NFKC', name).casefold()
    key = ''.join(letter for letter in text if letter.isalnum())
    groups.setdefault(key or name, []).append(repr(name))
  same = [' = '.join(group) for group in groups.values() if len(group) > 1]
  return _line('classes of nearly the same name', same)


def _classes(
  name: str, survey: Survey, class_names: Sequence[str]
) -> list[str]:
  if survey.source.class_names != tuple(class_names):
    return [f'{name}: other classes than those of the training split']
  counts = survey.class_counts
  empty = [class_names[i] for i in np.flatnonzero(counts == 0).tolist()]
  found = _line(f'{name}: classes without a picture', empty)
  if (counts > 0).sum() < 2:
    found.append(f'{name}: fewer than two classes are no classification')
  if survey.num_unlabelled:
    found.append(f'{name}: pictures without a label: {survey.num_unlabelled}')
  return found


def _imbalance(train: Survey) -> list[str]:
  counts = train.class_counts[train.class_counts > 0]
  if not counts.size or counts.max() < IMBALANCE * counts.min():
    return []
  return [
    f'classes differ much in size: {counts.min()} to {counts.max()} pictures; '
    'read the mean per class beside top-1'
  ]
