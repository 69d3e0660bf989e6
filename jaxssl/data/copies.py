"""Pictures that are there more than once, byte for byte."""

from collections.abc import Iterable
import dataclasses
import hashlib

import numpy as np

from jaxssl.data.places import read_file
from jaxssl.data.source import Source

# Of more pictures nothing is read: that would take longer than to evaluate.
MOST_READ = 20_000
_AT_ONCE = 64
_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copies:
  """Contents that several records share.

  Attributes:
    count: how many contents are there more than once.
    examples: `first = second`, names of records, at most three.
  """

  count: int
  examples: tuple[str, ...]

  def __str__(self) -> str:
    """Says it in a line; nothing to say is an empty text."""
    if not self.count:
      return ''
    be = 'picture appears' if self.count == 1 else 'pictures appear'
    return f'{self.count:,} {be} more than once, e.g. {self.examples[0]}'


def digests(source: Source) -> list[bytes] | None:
  """Returns a hash of what is stored of each record, file or pixels.

  Args:
    source: what to read.

  Returns:
    Empty where a record cannot be read; None if there are over 20,000 records.
  """
  count = source.num_examples
  if count > MOST_READ:
    return None
  found: list[bytes] = []
  for first in range(0, count, _AT_ONCE):
    rows = np.arange(first, min(first + _AT_ONCE, count))
    contents = list(source.fetch(rows).content)
    if source.content == 'paths':
      contents = [*map(read_file, contents)]
    found += [_digest(content) for content in contents]
  return found


def _digest(content: np.ndarray | bytes) -> bytes:
  if isinstance(content, np.ndarray):
    content = repr(content.shape).encode() + content.tobytes()
  return hashlib.sha256(content).digest() if content else b''


def of(source: Source) -> Copies | None:
  """Returns what is more than once in a source; None if that is not read."""
  found = digests(source)
  if found is None:
    return None
  names = (source.describe(row) for row in range(source.num_examples))
  return find(zip(names, found, strict=True))


def find(contents: Iterable[tuple[str, bytes]]) -> Copies:
  """Returns the contents that stand under more than one name.

  Args:
    contents: name and hash of each record; of one name twice, once is taken.
  """
  names: dict[bytes, list[str]] = {}
  for name, digest in contents:
    own = names.setdefault(digest, [])
    if digest and name not in own[:_NAMED]:
      own.append(name)
  several = [own for own in names.values() if len(own) > 1]
  examples = tuple(' = '.join(own[:2]) for own in several[:_NAMED])
  return Copies(count=len(several), examples=examples)
