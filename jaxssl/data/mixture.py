"""Several sources in one stream, in exact proportions."""

from collections.abc import Sequence
import concurrent.futures
from fractions import Fraction
import logging
import math
from typing import Literal

import numpy as np

from jaxssl.data import order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.captions import Captions
from jaxssl.data.places import read_file
from jaxssl.data.source import Records, Source, fingerprint
from jaxssl.errors import UserError

_log = logging.getLogger(__name__)
_LARGEST_BLOCK = 2**53
_READERS = 16


class Mixture:
  """Draws from sources with given weights, without chance in the proportions.

  The stream is cut into blocks of K rows. Every block holds c_i rows of source
  i, c_i / K = its share, in an order shuffled anew in each block; the j-th row
  of a source in the whole stream is position j of its own shuffled stream. So
  every source goes through its own epochs, a small one more often than a large
  one, and the record at any position follows by arithmetic.

  K is the least common denominator of the shares, however large: by number of
  records, a block is an epoch of all. Beyond 2^53, where weights have more
  digits than a float, the shares are rounded to that.

  Labels are kept if all sources have the same class names, or the first ones of
  a longer list; otherwise they are -1, which a warning says. Captions are kept
  if all sources have some. Record i of source s has the index i + the number of
  records before s.

  Args:
    sources: at least one.
    weights: positive numbers; None for weights by number of records.

  Raises:
    UserError: for weights that do not fit.
  """

  content: Literal['bytes'] = 'bytes'

  def __init__(
    self, sources: Sequence[Source], *, weights: Sequence[float] | None = None
  ):
    sizes = [source.num_examples for source in sources]
    weights = sizes if weights is None else list(weights)
    if not sources or len(weights) != len(sources):
      raise UserError(
        f'mixture: {len(sources)} sources need as many weights, got '
        f'{len(weights)}'
      )
    self._sources = tuple(sources)
    self._starts = np.cumsum([0, *sizes])
    self.counts = _counts(weights)
    # Before its shuffle, a block holds the rows of each source side by side.
    self._bounds = np.cumsum([0, *self.counts])
    self.name = 'mixture(' + ', '.join(s.name for s in sources) + ')'
    self.class_names = self._shared_classes()
    self.num_examples = int(self._starts[-1])
    captions = [s.captions for s in sources if s.captions is not None]
    of_all = len(captions) == len(sources)
    self.captions = Captions.joined(captions) if of_all else None

  @cached_property
  def fingerprint(self) -> str:
    """Hash of what all sources hold; see `source.Source`."""
    parts = (source.fingerprint for source in self._sources)
    return fingerprint(str(self.counts), *parts)

  @cached_property
  def identity(self) -> str:
    """The same but for the times of files."""
    parts = (source.identity for source in self._sources)
    return fingerprint(str(self.counts), *parts)

  def _shared_classes(self) -> tuple[str, ...] | None:
    """Returns the class names if a label means the same in all sources."""
    names = [source.class_names for source in self._sources]
    known = [each for each in names if each]
    if not known:
      return None
    longest = max(known, key=len)
    if all(each == longest[: len(each or ())] for each in names):
      return longest
    _log.warning(
      '%s: no labels, as not all sources have the same classes', self.name
    )
    return None

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch of the record's source, index)` of each position."""
    size = int(self._bounds[-1])
    block, place = np.divmod(np.asarray(positions, np.int64), size)
    key = order.mix64(seed, block, len(self._sources))
    place = order.shuffle(place, num_examples=size, key=key)
    owner = np.searchsorted(self._bounds, place, side='right') - 1
    epoch, index = np.empty_like(block), np.empty_like(block)
    for number, source in enumerate(self._sources):
      mine = owner == number
      rank = place[mine] - self._bounds[number]
      own = block[mine] * self.counts[number] + rank
      # Two sources of one size must not be shuffled alike.
      own_seed = int(order.mix64(seed, number).astype(np.int64))
      epoch[mine], index[mine] = source.locate(own, seed=own_seed)
      index[mine] += self._starts[number]
    return epoch, index

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    content = np.empty(len(indices), object)
    label = np.full(len(indices), -1, np.int32)
    owner = np.searchsorted(self._starts, indices, side='right') - 1
    for number in np.unique(owner).tolist():
      mine = owner == number
      source = self._sources[number]
      records = source.fetch(indices[mine] - self._starts[number])
      content[mine] = _encoded(source, records.content)
      if self.class_names is not None:
        label[mine] = records.label
    return Records(content=content, label=label)

  def describe(self, index: int) -> str:
    """Returns the name of a record; see `source.Source`."""
    number = int(np.searchsorted(self._starts, index, side='right')) - 1
    return self._sources[number].describe(index - int(self._starts[number]))


def _counts(weights: Sequence[float]) -> tuple[int, ...]:
  """Returns how many rows of a block each source has."""
  try:
    exact = [Fraction(str(weight)) for weight in weights]
  except ValueError as error:
    raise UserError(
      f'mixture: weights must be numbers, got {weights}'
    ) from error
  if min(exact) <= 0:
    raise UserError(f'mixture: weights must be positive, got {weights}')
  shares = [weight / sum(exact) for weight in exact]
  size = math.lcm(*(share.denominator for share in shares))
  if size <= _LARGEST_BLOCK:
    return tuple(int(share * size) for share in shares)
  return tuple(max(1, round(share * _LARGEST_BLOCK)) for share in shares)


def _encoded(source: Source, content: np.ndarray) -> np.ndarray:
  """Returns an object array of encoded pictures, whatever the source gives."""
  if source.content == 'bytes':
    return content
  encoded = np.empty(len(content), object)
  if source.content == 'pixels':
    encoded[:] = [_portable_pixmap(pixels) for pixels in content]
  else:
    # Read here and not in the graph, because a row of a mixture does not know
    # its source any more; threads hide the latency of a network disk.
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
      encoded[:] = list(pool.map(read_file, content.tolist()))
  return encoded


def _portable_pixmap(pixels: np.ndarray) -> bytes:
  height, width, _ = pixels.shape
  return b'P6 %d %d 255\n' % (width, height) + pixels.tobytes()
