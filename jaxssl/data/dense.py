"""Whole pictures with their targets, and square windows of them.

Evaluation of patch features cannot cut the middle out of a picture, as the
pipeline does: every pixel of the mask counts. So pictures keep their shape.
One rule says how they are resized: the shorter side becomes R, the longer one
follows and is rounded down (`Preprocessing.resized`), pictures by the filter of
the encoder, targets by taking the nearest pixel.
"""

from collections.abc import Callable, Iterable, Iterator
import concurrent.futures
import dataclasses
import itertools
import os
from typing import Any, Literal, TypeVar

import numpy as np

from jaxssl.augment.bands import Bands
from jaxssl.augment.preprocessing import Interpolation
from jaxssl.data import crop, decode, order, raster
from jaxssl.data import targets as targets_lib
from jaxssl.data.decode import UnreadableError
from jaxssl.data.labels import UNKNOWN
from jaxssl.data.order import uniform
from jaxssl.data.pipeline import check_bands
from jaxssl.data.places import read_file
from jaxssl.data.rows import Faults
from jaxssl.data.source import Source
from jaxssl.data.targets import Kind
from jaxssl.errors import UserError

_Item = TypeVar('_Item')
_Made = TypeVar('_Made')
Resize = Literal['shortest', 'squash']
# Sides of picture and target may differ so much in shape: rounding.
_SAME_SHAPE = 0.02
_AHEAD = 4  # pictures that each thread holds ready
# Bytes of decoded pictures that are kept: a small set is decoded once.
_KEPT = 1 << 28


@dataclasses.dataclass(frozen=True)
class Example:
  """A picture with its target.

  Attributes:
    index: number of the record.
    image: uint8 [H, W, 3].
    target: as `targets` says, [h, w], of the same shape but maybe another
      size; None where none was asked for.
  """

  index: int
  image: np.ndarray
  target: np.ndarray | None

  @property
  def num_bytes(self) -> int:
    """Size in memory."""
    return self.image.nbytes + (
      0 if self.target is None else self.target.nbytes
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
  """The pictures of a source, each with its target, read when they are needed.

  Attributes:
    source: what is read.
    kind: which target; None: pictures alone.
    limit: so many records at most, evenly spread; None for all.
    bands: how pictures are read; None: as 8-bit RGB.
    faults: records that cannot be read; they are left out, named, counted.
  """

  source: Source
  kind: Kind | None
  limit: int | None = None
  bands: Bands | None = None
  faults: Faults = dataclasses.field(init=False)
  _kept: dict[int, Example] = dataclasses.field(
    default_factory=dict, repr=False, compare=False
  )

  def __post_init__(self) -> None:
    """Raises `UserError` for a source without such targets or channels."""
    check_bands(self.source, self.bands)
    if self.kind is not None:
      targets_lib.require(self.source, self.kind)
    object.__setattr__(self, 'faults', Faults(self.source))

  def __len__(self) -> int:
    total = self.source.num_examples
    return total if self.limit is None else min(self.limit, total)

  @property
  def num_read(self) -> int:
    """How many could be read, once all were asked for."""
    return len(self) - self.faults.count

  @property
  def class_names(self) -> tuple[str, ...]:
    """Names of the classes of masks, as far as there are."""
    if self.kind is None:
      return ()
    return targets_lib.require(self.source, self.kind).class_names

  def __iter__(self) -> Iterator[Example]:
    """Yields every readable picture once, in order."""
    return self._read(range(len(self)))

  def only_targets(self) -> Iterator[np.ndarray]:
    """Yields the readable targets, in order; pictures are not read."""
    total = self.source.num_examples
    for _, target in ahead(
      self._try_target, (row * total // len(self) for row in range(len(self)))
    ):
      if target is not None:
        yield target

  def _try_target(self, index: int) -> np.ndarray | None:
    if index in self._kept:
      return self._kept[index].target
    try:
      return targets_lib.require(self.source, self.kind or 'mask').read(index)
    except (UnreadableError, OSError):
      # Named and counted when the picture is read.
      return None

  def endless(self, seed: int) -> Iterator[tuple[int, Example]]:
    """Yields readable pictures for ever, every epoch in an order of its own.

    Yields:
      Epoch and picture.

    Raises:
      UserError: if a whole epoch has none.
    """
    for epoch in itertools.count():
      positions = epoch * len(self) + np.arange(len(self))
      _, rows = order.locate(positions, num_examples=len(self), seed=seed)
      is_empty = True
      for example in self._read(rows.tolist()):
        is_empty = False
        yield epoch, example
      if is_empty:
        raise UserError(f'{self.source.name}: not one picture can be read')

  def _read(self, rows: Iterable[int]) -> Iterator[Example]:
    total = self.source.num_examples
    indices = (row * total // len(self) for row in rows)
    for index, found in ahead(self._try, indices):
      if not isinstance(found, Example):
        self.faults.add(index, found)
        continue
      if len(self._kept) < _KEPT // found.num_bytes:
        self._kept[index] = found
      yield found

  def _try(self, index: int) -> Example | str:
    """Returns a picture, or why it cannot be read."""
    if index in self._kept:
      return self._kept[index]
    try:
      image = picture(self.source, index, self.bands)
      if self.kind is None:
        return Example(index, image, None)
      target = targets_lib.require(self.source, self.kind).read(index)
      _check_shapes(image, target, self.kind)
    except (UnreadableError, OSError) as error:
      return str(error)
    return Example(index, image, target)


def picture(
  source: Source, index: int, bands: Bands | None = None
) -> np.ndarray:
  """Returns a whole picture of a source.

  Args:
    source: what is read.
    index: number of the record.
    bands: how it is read; None: as 8-bit RGB.

  Returns:
    uint8 [H, W, 3], with `bands` uint16 of C channels.

  Raises:
    UnreadableError: if it cannot be decoded.
  """
  content: Any = source.fetch(np.array([index])).content[0]
  if source.content == 'pixels':
    return content
  if source.content == 'paths':
    content = read_file(content)
  if bands is not None:
    return raster.exact(bytes(content), bands)
  return decode.exact(bytes(content))


def ahead(
  function: Callable[[_Item], _Made], items: Iterable[_Item]
) -> Iterator[tuple[_Item, _Made]]:
  """Yields items with what a function makes of them, in order, from threads.

  Only a few are held ready, however many there are.
  """
  threads = len(os.sched_getaffinity(0))
  items = iter(items)
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    waiting = [
      (item, pool.submit(function, item))
      for item in itertools.islice(items, threads * _AHEAD)
    ]
    while waiting:
      item, result = waiting.pop(0)
      yield item, result.result()
      for following in itertools.islice(items, 1):
        waiting.append((following, pool.submit(function, following)))


def _check_shapes(image: np.ndarray, target: np.ndarray, kind: Kind) -> None:
  (height, width), (rows, columns) = image.shape[:2], target.shape
  ratio = (height * columns) / (width * rows)
  # Of few pixels, one more or less is much.
  slack = max(_SAME_SHAPE, 1.5 / min(height, width, rows, columns))
  if not 1 - slack <= ratio <= 1 + slack:
    raise UnreadableError(
      f'its {kind} of {rows} x {columns} pixels has another shape than the '
      f'picture of {height} x {width}'
    )


def sides(shape: tuple[int, ...], side: int, how: Resize) -> tuple[int, int]:
  """Returns height and width after resizing, see the module.

  Args:
    shape: height and width before.
    side: R, what the shorter side becomes; with `'squash'` both.
    how: whether the picture keeps its shape.
  """
  if how == 'squash':
    return side, side
  shorter = min(shape[:2])
  return shape[0] * side // shorter, shape[1] * side // shorter


def side_of(given: int | None, size: int) -> int:
  """Returns what the shorter side of pictures becomes: at least a window.

  Args:
    given: what was asked for; None: the side of a window.
    size: side of a window in pixels.

  Raises:
    UserError: if it is smaller than a window.
  """
  if given is not None and given < size:
    raise UserError(
      f'--side is {given}, and a window has {size} pixels; give at least that'
    )
  return size if given is None else given


def resize_picture(
  image: np.ndarray, size: tuple[int, int], interpolation: Interpolation
) -> np.ndarray:
  """Returns a picture of another height and width, uint8 [*size, 3]."""
  if image.shape[:2] == size:
    return image
  return crop.resize_to(image, size, interpolation=interpolation)


def resize_target(target: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Returns a target of another height and width: the nearest pixels.

  As Pillow's and OpenCV's `nearest` for whole factors: pixel i of n is pixel
  floor((i + 1/2) N / n) of N.
  """
  rows, columns = (
    np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
    for old, new in zip(target.shape, size, strict=True)
  )
  return target[rows[:, None], columns]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
  """How random square windows are cut for training.

  Attributes:
    size: S, side of a window.
    side: R, what the shorter side of a picture becomes before the cut.
    scale: R is multiplied by exp(U(ln low, ln high)) of these.
    flip: whether half of the windows are mirrored.
    interpolation: filter that resizes pictures.
  """

  size: int
  side: int
  scale: tuple[float, float] = (1.0, 1.0)
  flip: bool = True
  interpolation: Interpolation = 'bicubic'

  def cut(self, example: Example, key: tuple[int, ...]) -> Example:
    """Returns a random window of a picture and its target, [S, S].

    What lies outside of the picture is black, and nothing is known of it.

    Args:
      example: a whole picture.
      key: the same window for the same numbers.
    """
    draws = uniform(*key, example.index, np.arange(4))
    low, high = np.log(self.scale)
    side = max(
      1, round(self.side * float(np.exp(low + (high - low) * draws[0])))
    )
    size = sides(example.image.shape, side, 'shortest')
    image = resize_picture(example.image, size, self.interpolation)
    target = example.target
    corner = [
      int(draw * (max(full - self.size, 0) + 1))
      for draw, full in zip(draws[1:3], size, strict=True)
    ]
    if target is not None:
      target = resize_target(target, size)
      target = self._window(target, corner, unknown(target))
    image = self._window(image, corner, 0)
    if self.flip and draws[3] < 0.5:
      image = image[:, ::-1]
      target = None if target is None else target[:, ::-1]
    return Example(example.index, image, target)

  def _window(
    self, values: np.ndarray, corner: list[int], fill: float
  ) -> np.ndarray:
    top, left = corner
    part = values[top : top + self.size, left : left + self.size]
    missing = [(0, self.size - side) for side in part.shape[:2]]
    widths = missing + [(0, 0)] * (values.ndim - 2)
    return np.pad(part, widths, constant_values=fill)


def unknown(target: np.ndarray) -> float:
  """Returns what a target of this type has where nothing is known."""
  return UNKNOWN if target.dtype.kind == 'i' else np.nan


def window_batches(
  pictures: Pictures, windows: Windows, *, batch_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields batches of random windows for ever.

  Yields:
    uint8 [b, S, S, 3] and targets [b, S, S].
  """
  endless = (
    windows.cut(example, (seed, epoch))
    for epoch, example in pictures.endless(seed)
  )
  while True:
    some = list(itertools.islice(endless, batch_size))
    targets = [each.target for each in some if each.target is not None]
    yield np.stack([each.image for each in some]), np.stack(targets)
