"""The texts that belong to the records of a source."""

from collections.abc import Iterable, Mapping, Sequence
import logging
import math
from typing import Any

import numpy as np

from jaxssl.data import order
from jaxssl.data.byte_strings import ByteStrings
from jaxssl.data.text_bytes import decoded

_log = logging.getLogger(__name__)
_NAMED = 3
# Sets the draw of a caption apart from those of the crops of the same record.
_STREAM = -1


class Captions:
  """One or more texts for each of n records, in a few arrays.

  A Python string would take several times the memory, and the threads of the
  pipeline would share nothing.

  Args:
    blob: all texts in UTF-8, one after the other, uint8 [bytes].
    bounds: where each text begins and the last one ends, int64 [texts + 1].
    first: number of the first text of each record, int64 [n].
    count: how many texts it has, int64 [n].
  """

  def __init__(
    self,
    blob: np.ndarray,
    bounds: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
  ):
    self._texts = ByteStrings(blob, bounds)
    self._first, self._count = first, count

  @classmethod
  def from_texts(cls, texts: Iterable[Sequence[str]]) -> 'Captions':
    """Makes them of the texts of each record."""
    texts = list(texts)
    # Half of a surrogate pair, as careless JSON has it, is no text.
    encoded = ByteStrings.of(
      text.encode(errors='replace') for record in texts for text in record
    )
    count = np.array([len(record) for record in texts], np.int64)
    return cls(encoded.blob, encoded.bounds, np.cumsum(count) - count, count)

  @classmethod
  def joined(cls, parts: Sequence['Captions']) -> 'Captions':
    """Returns the captions of several sources, in their order."""
    blobs, bounds, firsts = [], [np.zeros(1, np.int64)], []
    size = texts = 0
    for part in parts:
      blobs.append(part._texts.blob)
      bounds.append(part._texts.bounds[1:] + size)
      firsts.append(part._first + texts)
      size += len(part._texts.blob)
      texts += len(part._texts)
    counts = [part._count for part in parts]
    joined = map(np.concatenate, (blobs, bounds, firsts, counts))
    return cls(*joined)

  def __len__(self) -> int:
    return len(self._first)

  def __getitem__(self, index: int) -> tuple[str, ...]:
    first = int(self._first[index])
    return tuple(
      self._text(number)
      for number in range(first, first + int(self._count[index]))
    )

  def take(self, indices: np.ndarray) -> 'Captions':
    """Returns the captions of some records; the texts are not copied."""
    return Captions(
      self._texts.blob,
      self._texts.bounds,
      self._first[indices],
      self._count[indices],
    )

  def draw(
    self, indices: np.ndarray, *, epoch: np.ndarray, seed: int, each: int = 1
  ) -> list[str]:
    """Draws one text of each record, or several in a row.

    A function of seed, epoch and record, so that the same record gets another
    caption in another epoch but the same one after a resume. Several are those
    that follow the one that is drawn, around the end: different ones as long as
    the record has so many, and every one as often as the others.

    Args:
      indices: records, int64 [b].
      epoch: epoch that each row is drawn in, int64 [b].
      seed: seed of the run.
      each: texts of each record.

    Returns:
      b * `each` texts, those of a record behind each other.
    """
    words = order.mix64(seed, epoch, indices, _STREAM)
    count = self._count[indices]
    chosen = (words % count.astype(np.uint64)).astype(np.int64)
    numbers = (chosen[:, None] + np.arange(each)) % count[:, None]
    numbers += self._first[indices][:, None]
    return [self._text(number) for number in numbers.ravel().tolist()]

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """What the constructor takes, by name."""
    return {
      'blob': self._texts.blob,
      'bounds': self._texts.bounds,
      'first': self._first,
      'count': self._count,
    }

  def _text(self, number: int) -> str:
    return self._texts[number].decode(errors='replace')


def as_texts(value: Any) -> list[str]:
  """Returns the captions that a value of a source stands for.

  Args:
    value: a text, bytes in UTF-8, a number, or a list of them.

  Returns:
    Texts without blanks around them; nothing for None, NaN, empty texts and
    whatever is no text.
  """
  values = value if isinstance(value, list | tuple) else [value]
  texts = (_as_text(value).strip() for value in values)
  return [text for text in texts if text]


def _as_text(value: Any) -> str:
  if isinstance(value, bytes):
    return decoded(value)
  if isinstance(value, float) and math.isnan(value):
    return ''
  return str(value) if isinstance(value, str | int | float) else ''


def warn_skipped(source: str, skipped: Mapping[str, Sequence[str]]) -> None:
  """Logs how many records of each kind of fault are left out, and some names.

  Args:
    source: name of the source.
    skipped: what is wrong -> names of the records.
  """
  for fault, names in skipped.items():
    if names:
      more = ', ...' if len(names) > _NAMED else ''
      _log.warning(
        '%s: %d left out, %s: %s%s',
        source,
        len(names),
        fault,
        ', '.join(names[:_NAMED]),
        more,
      )
