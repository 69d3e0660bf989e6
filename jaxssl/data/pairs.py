"""Pictures with a target each: masks, depth.

However they are stored, pictures are one source and each kind of target is
another one, whose "pictures" are the targets. Here both are put together,
record by record, and what lacks one of them is left out and counted.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Literal

import numpy as np

from jaxssl.data import identity, order
from jaxssl.data.cached_property import cached_property
from jaxssl.data.captions import warn_skipped
from jaxssl.data.source import Records, Source, fingerprint
from jaxssl.data.targets import Code, Encoded, Kind, Targets
from jaxssl.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
  """The targets of one kind, by the number of the picture.

  Attributes:
    names: what messages call each, None where a picture has none.
    read: numbers of pictures, int64 [b], to the bytes of their targets.
    lonely: names of targets without a picture.
    states: what changes when a target is written again.
  """

  names: Sequence[str | None]
  read: Callable[[np.ndarray], list[bytes]]
  lonely: Sequence[str] = ()
  states: bytes = b''


class Pairs:
  """Pictures and their targets.

  Args:
    pictures: the pictures.
    found: targets of each kind.
    code: what their numbers mean.
    classes: names of the classes of masks; may be empty.

  Attributes:
    skipped: what is wrong -> how many are left out for it.

  Raises:
    UserError: if no picture has a target.
  """

  content: Literal['pixels', 'bytes', 'paths']
  captions = None

  def __init__(
    self,
    pictures: Source,
    found: Mapping[Kind, Found],
    *,
    code: Code,
    classes: tuple[str, ...] = (),
  ):
    self._pictures, self._found = pictures, found
    self._code, self._classes = code, classes
    self.name, self.content = pictures.name, pictures.content
    self.class_names = pictures.class_names
    has = np.ones(pictures.num_examples, bool)
    left: dict[str, list[str]] = {}
    for kind, each in found.items():
      missing = [i for i, name in enumerate(each.names) if name is None]
      has[missing] = False
      left[f'pictures without {kind}'] = list(map(pictures.describe, missing))
      left[f'{kind} without a picture'] = list(each.lonely)
    self.skipped = {fault: len(n) for fault, n in left.items() if n}
    warn_skipped(self.name, left)
    self._rows = np.flatnonzero(has)
    self.num_examples = len(self._rows)
    if not self.num_examples:
      raise UserError(
        f'{self.name}: no picture has a {" and a ".join(found)} of its name'
      )

  @property
  def targets(self) -> Mapping[Kind, Targets]:
    """The targets of the records; see `targets.DenseSource`."""
    return {
      kind: Encoded(
        kind,
        lambda index, read=each.read: read(self._rows[[index]])[0],
        self._code,
        self._classes if kind == 'mask' else (),
      )
      for kind, each in self._found.items()
    }

  @cached_property
  def identity(self) -> str:
    """Hash of what copies of it share; see `source.Source`."""
    samples = [
      identity.of_sample(
        self.num_examples, lambda rows, read=each.read: read(self._rows[rows])
      )
      for each in self._found.values()
    ]
    return fingerprint(
      self._pictures.identity,
      self._rows,
      repr((*self._found, self._code, self._classes)),
      *samples,
    )

  @cached_property
  def fingerprint(self) -> str:
    """Hash that also changes when a file is written again."""
    states = [each.states for each in self._found.values()]
    return fingerprint(self.identity, self._pictures.fingerprint, *states)

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return self._pictures.fetch(self._rows[indices])

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a picture."""
    return self._pictures.describe(int(self._rows[index]))
