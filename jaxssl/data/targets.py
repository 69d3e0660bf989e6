"""What is known of every pixel of a picture: its class, its depth.

However a source stores it, here it has one form: a mask is int32 [H, W] with
-1 where the class is unknown, depth is float32 [H, W] with NaN where it is
unknown.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import io
import math
from typing import Any, Literal, Protocol, get_args

import numpy as np

from jaxssl.data import decode
from jaxssl.data.decode import UnreadableError
from jaxssl.data.labels import UNKNOWN
from jaxssl.data.source import Source
from jaxssl.errors import UserError

Kind = Literal['mask', 'depth']
Zero = Literal['class', 'ignore']
# Formats that keep every number; JPEG would make classes of its own.
_LOSSLESS = ('PNG', 'TIFF', 'BMP', 'GIF')
_NPY = b'\x93NUMPY'
_MASKS = 'give pictures with a mask of classes for each (docs/data.md)'
_DEPTH = 'give pictures with depth for each (docs/data.md)'


class Targets(Protocol):
  """One kind of target, for every record of a source."""

  @property
  def class_names(self) -> tuple[str, ...]:
    """Names of the classes of masks; empty where nobody has named them."""
    ...

  def read(self, index: int) -> np.ndarray:
    """Returns the target of a record.

    Returns:
      int32 or float32 [H, W], as the module says.

    Raises:
      UnreadableError: if there is none, or it cannot be read.
    """
    ...


class DenseSource(Source, Protocol):
  """A source that knows something of every pixel."""

  @property
  def targets(self) -> Mapping[Kind, Targets]:
    """What it knows, by kind."""
    ...


def require(source: Source, kind: Kind) -> Targets:
  """Returns the targets of a source.

  Raises:
    UserError: if it has none of this kind.
  """
  targets = of(source)
  if kind not in targets:
    hint = _MASKS if kind == 'mask' else _DEPTH
    raise UserError(f'{source.name} has no {kind} of its pictures; {hint}')
  return targets[kind]


@dataclasses.dataclass(frozen=True)
class Computed:
  """Targets that a function makes.

  Attributes:
    make: index of a record to its target.
    class_names: see `Targets`.
  """

  make: Callable[[int], np.ndarray]
  class_names: tuple[str, ...] = ()

  def read(self, index: int) -> np.ndarray:
    """Returns a target; see `Targets`."""
    return self.make(index)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
  """How stored numbers mean classes and lengths.

  Attributes:
    ignore: number of a mask that means no class; VOC, ADE20K and Cityscapes
      have 255.
    zero: `'class'`: 0 is the first class (VOC: background); `'ignore'`: 0 is no
      class and the others count from 1 (ADE20K).
    depth_scale: length of the number 1 of a depth picture, for example 0.001
      metres; arrays of numbers (.npy) are lengths as they are.

  Raises:
    UserError: if a value makes no sense.
  """

  ignore: int = 255
  zero: Zero = 'class'
  depth_scale: float = 0.001

  def __post_init__(self) -> None:
    if self.zero not in get_args(Zero):
      raise UserError(f'zero is {self.zero!r}; give class or ignore')
    if not (math.isfinite(self.depth_scale) and self.depth_scale > 0):
      raise UserError(
        f'depth_scale is {self.depth_scale}; give the length of the number 1'
      )

  def classes(self, stored: np.ndarray) -> np.ndarray:
    """Returns a mask as the module has it, int32 [H, W]."""
    found = np.where(stored == self.ignore, UNKNOWN, stored.astype(np.int32))
    if self.zero == 'ignore':
      found = np.where(found > 0, found - 1, UNKNOWN)
    return found.astype(np.int32)

  def lengths(self, stored: np.ndarray) -> np.ndarray:
    """Returns depth as the module has it; what is not above 0 is unknown."""
    # A picture of whole numbers cannot say "unknown" but by 0.
    scale = self.depth_scale if stored.dtype.kind in 'ui' else 1.0
    found = stored.astype(np.float32) * np.float32(scale)
    return np.where(np.isfinite(found) & (found > 0), found, np.nan)


@dataclasses.dataclass(frozen=True)
class Encoded:
  """Targets that are stored as files, or as parts of files.

  Attributes:
    kind: what they are.
    content: index of a record to the bytes of its target.
    code: what their numbers mean.
    class_names: see `Targets`.
  """

  kind: Kind
  content: Callable[[int], bytes]
  code: Code
  class_names: tuple[str, ...] = ()

  def read(self, index: int) -> np.ndarray:
    """Returns a target; see `Targets`."""
    content = self.content(index)
    if not content:
      raise UnreadableError(f'its {self.kind} is empty, or no regular file')
    try:
      stored = _numbers(content)
    except UnreadableError as error:
      raise UnreadableError(f'its {self.kind}: {error}') from error
    if self.kind == 'mask' and stored.dtype.kind not in 'ui':
      raise UnreadableError('its mask has fractions; classes are whole numbers')
    make = self.code.classes if self.kind == 'mask' else self.code.lengths
    return make(stored)


def check_classes(mask: np.ndarray, names: Sequence[str], where: str) -> None:
  """Refuses classes that have no name.

  Raises:
    UserError: says which number it is.
  """
  largest = int(mask.max(initial=UNKNOWN))
  if names and largest >= len(names):
    raise UserError(
      f'{where}: its mask has the class {largest}, and there are '
      f'{len(names)} names; name all, or say which number means no class '
      '(ignore, zero)'
    )


def _numbers(content: bytes) -> np.ndarray:
  """Returns what a file holds, [H, W] of whole numbers or fractions."""
  if content.startswith(_NPY):
    try:
      found = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
      raise UnreadableError(f'{type(error).__name__}: {error}') from error
  else:
    found = decode.stored(content, formats=_LOSSLESS)
  if found.ndim == 3 and found.shape[2] in (1, 3):
    # Some programs write gray in three equal channels.
    if (found != found[..., :1]).any():
      raise UnreadableError('it has colours, where numbers are due')
    found = found[..., 0]
  if found.ndim != 2 or not found.size or found.dtype.kind not in 'buif':
    raise UnreadableError(
      f'it has shape {found.shape} and type {found.dtype}, where numbers of '
      'shape (height, width) are due'
    )
  return found.astype(np.uint8) if found.dtype.kind == 'b' else found


def at(targets: Targets, place: Callable[[int], int]) -> Computed:
  """Returns targets in another order.

  Args:
    targets: of some records.
    place: index of a record to that of `targets`.
  """
  return Computed(lambda index: targets.read(place(index)), targets.class_names)


def of(source: Any) -> Mapping[Kind, Targets]:
  """Returns the targets of a source, none where it has none."""
  # Not by `isinstance`: since Python 3.12 it does not see what a source that
  # stands before another one takes from it by `__getattr__`.
  return getattr(source, 'targets', {})
