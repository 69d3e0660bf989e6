"""What the pipeline needs to know of a source of pictures."""

import dataclasses
import hashlib
from typing import Literal, Protocol

import numpy as np

from jaxssl.data.captions import Captions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
  """Some records of a source, not yet decoded.

  Attributes:
    content: uint8 [b, H, W, 3], or an object array [b] of bytes: encoded
      pictures or file names, as `Source.content` says; empty where there is
      nothing to read.
    label: int32 [b], -1 where unknown.
  """

  content: np.ndarray
  label: np.ndarray


class Source(Protocol):
  """A fixed, indexed collection of pictures.

  Properties, because nobody sets them: a source may have a field, a class
  attribute or a property of that name.
  """

  @property
  def name(self) -> str:
    """What messages call it."""
    ...

  @property
  def num_examples(self) -> int:
    """Number of records n."""
    ...

  @property
  def class_names(self) -> tuple[str, ...] | None:
    """Name of each label, or None if there are no labels."""
    ...

  @property
  def fingerprint(self) -> str:
    """Hash of what it holds, which changes when a file is written."""
    ...

  @property
  def identity(self) -> str:
    """The same hash but for the times of files: copies share it."""
    ...

  @property
  def content(self) -> Literal['pixels', 'bytes', 'paths']:
    """What `fetch` gives.

    `'pixels'` (uint8 arrays of one size), `'bytes'` (encoded pictures), or
    `'paths'` (files, which TensorFlow then reads in parallel, without Python).
    """
    ...

  @property
  def captions(self) -> Captions | None:
    """Texts of every record, or None if there are none."""
    ...

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns the records of int64 [b] `indices`, cheaply and in one call."""
    ...

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)` at int64 [b] positions of the shuffled stream.

    Every source but a mixture answers with `order.locate`.
    """
    ...

  def describe(self, index: int) -> str:
    """Names one record in messages: a file name, or the source and index."""
    ...


# What fingerprints are made of, and by which rules records, labels and splits
# are found: a change of either is a new number.
VERSION = 2


def fingerprint(*parts: bytes | str | np.ndarray) -> str:
  """Hashes what a source holds.

  Args:
    *parts: bytes, texts and arrays, in a fixed order.

  Returns:
    32 hexadecimal digits.
  """
  digest = hashlib.sha256(b'%d' % VERSION)
  for part in parts:
    # Names of files that are no UTF-8 hold halves of surrogate pairs.
    if isinstance(part, str):
      part = part.encode(errors='surrogatepass')
    # Not copied: of ten million records it may be a gigabyte.
    if isinstance(part, bytes):
      data = memoryview(part)
    else:
      data = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    # The length keeps ('ab', 'c') and ('a', 'bc') apart.
    digest.update(len(data).to_bytes(8, 'little'))
    digest.update(data)
  return digest.hexdigest()[:32]
