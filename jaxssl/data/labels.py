"""One rule for the labels of every source.

A label is what a column, a JSON value, a member of a tar file, a feature of a
TFRecord or the name of a folder holds:

* nothing (None, NaN, an empty text) and -1 are unknown: label -1;
* if all others are whole numbers, in whatever way they are written (`3`, `3.0`,
  `03`), they are the labels, and the classes are named `0`, `1`, ... up to the
  largest one; numbers of a million and more are ids and not places in a list:
  they are sorted as numbers and counted from 0;
* otherwise all are names, sorted as texts and counted from 0.
"""

from collections.abc import Sequence
import logging
import math
import re
from typing import Any

import numpy as np

from jaxssl.data.text_bytes import decoded
from jaxssl.errors import UserError

_log = logging.getLogger(__name__)
UNKNOWN = -1
# Largest class / smallest class. From here on, always answering the largest
# class does well where there are few classes; long-tailed data sets of the
# literature begin at this factor (Cui et al. 2019, arXiv:1901.05555).
IMBALANCE = 10
# Larger numbers are ids (of products, say), not places in a list of classes.
_MOST_CLASSES = 1_000_000
# At most 18 digits fit into 64 bits. With a point also as NumPy writes floats.
_WHOLE = re.compile(r'[+-]?\d{1,18}(\.\d*(e[+-]?\d{1,2})?)?', re.ASCII | re.I)
# From here on not every whole number is a float.
_LARGEST_FLOAT = 2**53
_NAMED = 3


def as_text(value: Any, *, where: str) -> str:
  """Returns the text of a label as a source holds it; '' if it is unknown.

  Args:
    value: a text, bytes in UTF-8, a number, a truth value, None, or a list of
      at most one of them.
    where: what messages call the record.

  Raises:
    UserError: if there are several values, or it is something else.
  """
  if isinstance(value, list | tuple):
    if len(value) > 1:
      raise UserError(
        f'{where} has {len(value)} labels, {_some(value)}; a record is of one '
        'class'
      )
    value = value[0] if value else None
  if value is None or (isinstance(value, float) and math.isnan(value)):
    return ''
  if isinstance(value, bytes):
    # Not replaced: two names must not become one.
    return decoded(value, errors='backslashreplace').strip()
  if not isinstance(value, str | int | float):
    raise UserError(f'{where}: a label is a text or a number, not {value!r}')
  return str(value).strip()


def number(
  texts: Sequence[str], *, source: str, which: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
  """Numbers the labels of a source by the rule above.

  Args:
    texts: label of each record as a text, from `as_text`.
    source: what messages call it.
    which: int [n], which of `texts` each record has; None: its own.

  Returns:
    Labels int32 [n], -1 where unknown; names of the classes, None if not one
    label is known.

  Raises:
    UserError: for numbers below -1.
  """
  values = {text: _whole(text) for text in set(texts)}
  known = {t: v for t, v in values.items() if t and v != UNKNOWN}
  # Among numbers this is a missing one; among names it is a name.
  whole = {t: v for t, v in known.items() if t.lower() != 'nan'}
  numbers = {t: v for t, v in whole.items() if v is not None}
  if len(numbers) < len(whole):
    _warn_if_mixed(whole, source)
    names = tuple(sorted(known))
    labels = {name: place for place, name in enumerate(names)}
  else:
    names, labels = _numbers(numbers, source)
  found = np.array([labels.get(text, UNKNOWN) for text in texts], np.int32)
  if which is not None:
    found = found[which]
  _warn_of_unknown(found, source)
  return found, names or None


def of_array(values: Any, *, source: str) -> np.ndarray:
  """Returns the labels of an array, int32 [n], -1 where they are unknown.

  Args:
    values: whole numbers [n]; -1 and NaN are unknown.
    source: what messages call it.

  Raises:
    UserError: for texts, fractions, numbers below -1 and above 2^31 - 1.
  """
  array = np.asarray(values)
  if array.dtype.kind not in 'biuf':
    raise UserError(
      f'{source}: labels are whole numbers, not {array.dtype}; class_names '
      'holds the names'
    )
  if array.dtype.kind == 'f':
    array = np.where(np.isnan(array), UNKNOWN, array)
  wrong = (array != np.trunc(array)) | (array < UNKNOWN) | (array >= 2**31)
  if wrong.any():
    raise UserError(
      f'{source}: {array[wrong][0]} is no label; labels are whole numbers from '
      '0, or -1 where unknown'
    )
  return array.astype(np.int32)


def _whole(text: str) -> int | None:
  """Returns the whole number that a text is, if it is one."""
  match = _WHOLE.fullmatch(text)
  if not match:
    return None
  if not match.group(1):
    return int(text)
  value = float(text)
  return int(value) if value.is_integer() and value < _LARGEST_FLOAT else None


def _numbers(
  known: dict[str, int], source: str
) -> tuple[tuple[str, ...], dict[str, int]]:
  """Returns the names of the classes and the label of each text."""
  order = sorted(set(known.values()))
  if not order:
    return (), {}
  if order[0] < 0:
    raise UserError(
      f'{source}: labels go down to {order[0]}; whole numbers are labels from '
      '0, and -1 is unknown'
    )
  if order[-1] < _MOST_CLASSES:
    return tuple(map(str, range(order[-1] + 1))), known
  place = {value: label for label, value in enumerate(order)}
  return tuple(map(str, order)), {t: place[v] for t, v in known.items()}


def _warn_if_mixed(known: dict[str, int | None], source: str) -> None:
  names = sorted(text for text, value in known.items() if value is None)
  if len(names) < len(known) / 2:
    _log.warning(
      '%s: labels are whole numbers but for %s; all are taken for names, and '
      'sorted',
      source,
      _some(names),
    )


def _warn_of_unknown(labels: np.ndarray, source: str) -> None:
  unknown = int((labels == UNKNOWN).sum())
  if unknown:
    _log.warning(
      '%s: %d of %d labels are unknown', source, unknown, len(labels)
    )


def _some(values: Sequence[Any]) -> str:
  more = ['...'] if len(values) > _NAMED else []
  return ', '.join([*map(repr, values[:_NAMED]), *more])
