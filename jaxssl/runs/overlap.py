"""Which pictures two splits share, or training has seen."""

from collections.abc import Mapping
import logging
from typing import Any

from jaxssl import build
from jaxssl.data import copies
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.runs.sources import data_place
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


class Overlap:
  """Compares pictures by name and, up to 20,000, by content.

  The name of a record is its file, or its source, split and number: see
  `source.Source.describe`. Its content is what is stored, so a copy under
  another name or in another folder is known, and one that was encoded again is
  not. Each source is read once.

  Attributes:
    by_content: whether the contents of all sources so far were compared.
  """

  def __init__(self) -> None:
    self._kept: dict[str, list[bytes] | None] = {}
    self.by_content = True

  def num_shared(self, first: Source, second: Source) -> int | None:
    """Returns how many records of the second source the first one has.

    None where neither names nor contents tell it: of a slice of a TFDS split
    (`train[:10%]`) with more records than are read.
    """
    if first.identity == second.identity:
      return second.num_examples
    known, looked_at = self._digests(first), self._digests(second)
    if known is not None and looked_at is not None:
      there = set(known) - {b''}
      same = [digest in there for digest in looked_at]
    else:
      self.by_content = False
      same = [False] * second.num_examples
    if not any(source.name.endswith(']') for source in (first, second)):
      names = set(_names(first))
      named = (name in names for name in _names(second))
      same = [any(both) for both in zip(same, named, strict=True)]
    elif not self.by_content:
      return None
    return sum(same)

  def num_trained_on(
    self, workdir: Workdir, section: Mapping[str, Any], source: Source
  ) -> int | None:
    """Returns how many records of a source the encoder was trained on.

    Args:
      workdir: the run.
      section: the section `data` of the source.
      source: what it is evaluated on.

    Returns:
      None where that cannot be told: the weights are imported, or the pictures
      of the run are not there any more.
    """
    if not workdir.config_path.exists():
      return None
    config = workdir.read_config()
    if not config['data'].get('name') or 'train' not in config:
      return None
    try:
      trained = build.build_source(config)
      found = self.num_shared(trained, source)
    except UserError:
      return None
    is_other = data_place(config['data']) != data_place(section)
    # Names of other data, without a path, say nothing.
    if is_other and not found and 'path' not in config['data']:
      return found if self.by_content else None
    return found

  def twice(self, *sources: Source) -> copies.Copies | None:
    """Returns what is more than once in some sources; None if not read."""
    contents: dict[str, bytes] = {}
    for source in sources:
      digests = self._digests(source)
      if digests is None:
        return None
      contents |= zip(_names(source), digests, strict=True)
    return copies.find(contents.items())

  def _digests(self, source: Source) -> list[bytes] | None:
    if source.fingerprint not in self._kept:
      self._kept[source.fingerprint] = copies.digests(source)
    return self._kept[source.fingerprint]


def warn(*, shared: int | None, trained_on: int | None, num_test: int) -> None:
  """Says in the log what a number is worth less for."""
  if shared:
    told = (
      'so the numbers say little; give a --test_split apart from --train_split'
      if 2 * shared >= num_test
      else f'which may add {100 * shared / num_test:.1f} points to a number'
    )
    _log.warning(
      '%d of the %d test pictures are training pictures of the evaluation too: '
      'they find themselves, %s',
      shared,
      num_test,
      told,
    )
  if trained_on:
    _log.warning(
      'the encoder was trained on %d of the %d test pictures (without their '
      'labels); what it does with new ones these numbers do not say',
      trained_on,
      num_test,
    )


def _names(source: Source) -> list[str]:
  return [source.describe(i) for i in range(source.num_examples)]
