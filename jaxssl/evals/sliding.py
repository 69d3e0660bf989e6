"""Maps of windows put together to a map of the whole picture.

Windows overlap; where they do, their maps are averaged, as in the "slide" mode
of mmsegmentation with which DINOv2 reports its numbers. All resizing is
bilinear without antialiasing, corners not aligned, as in PyTorch's
`interpolate`.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
from typing import Any, NamedTuple

import numpy as np

from jaxssl.data import dense
from jaxssl.data.dense import Example, Resize
from jaxssl.evals.patch_features import PatchEncoder, in_batches

Corner = tuple[int, int]
# A stride of two thirds: 341 of 512, as DINOv2's configs have it.
_STRIDE = 2 / 3


class Windowed(NamedTuple):
  """A picture cut into windows.

  Attributes:
    example: the whole picture with its target.
    image: the picture as it was cut, uint8 [H, W, 3].
    corners: top and left of each window.
  """

  example: Example
  image: np.ndarray
  corners: list[Corner]


@functools.cache
def interpolation(old: int, new: int) -> np.ndarray:
  """Returns the matrix of a bilinear resize along one axis, float32 [new, old].

  Output i samples the input at x = (i + 1/2) old / new - 1/2, clipped to the
  outermost places: (1 - f) of floor(x) and f of the next, f = x - floor(x).
  """
  at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
  low = np.floor(at).astype(int)
  high = np.minimum(low + 1, old - 1)
  matrix = np.zeros((new, old), np.float32)
  rows = np.arange(new)
  matrix[rows, low] += 1 - (at - low)
  matrix[rows, high] += at - low
  return matrix


def resize(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Returns a map of another size, float32 [H, W, K] from [h, w, K]."""
  if maps.shape[1] != size[1]:
    columns = interpolation(maps.shape[1], size[1])
    maps = np.einsum('Ww,hwk->hWk', columns, maps, optimize=True)
  if maps.shape[0] != size[0]:
    rows = interpolation(maps.shape[0], size[0])
    maps = np.einsum('Hh,hWk->HWk', rows, maps, optimize=True)
  return maps


def corners(height: int, width: int, size: int) -> list[Corner]:
  """Returns top and left of windows that cover a picture.

  They lie floor(2 S / 3) apart; the last of a row or column ends where the
  picture does.

  Args:
    height: at least S.
    width: at least S.
    size: S.
  """
  stride = max(1, int(size * _STRIDE))
  tops, lefts = (
    [min(start * stride, side - size) for start in range(_count(side, size))]
    for side in (height, width)
  )
  return [(top, left) for top in tops for left in lefts]


def _count(side: int, size: int) -> int:
  stride = max(1, int(size * _STRIDE))
  return 1 + -(-(side - size) // stride)


def windowed(
  pictures: Iterable[Example],
  patches: PatchEncoder,
  *,
  side: int,
  how: Resize = 'shortest',
) -> Iterator[Windowed]:
  """Yields pictures, resized and cut into windows.

  Args:
    pictures: whole pictures.
    patches: its `size` is the side of the windows.
    side: what the shorter side of a picture becomes, at least that.
    how: see `dense.sides`.
  """
  for example in pictures:
    size = dense.sides(example.image.shape, side, how)
    image = dense.resize_picture(example.image, size, patches.interpolation)
    yield Windowed(example, image, corners(*size, patches.size))


def predictions(
  predict: Callable[[np.ndarray], Any],
  pictures: Iterable[Windowed],
  *,
  size: int,
  batch_size: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields the target of each picture and a map of the same size.

  Args:
    predict: uint8 [b, S, S, 3] -> [b, h, w, K].
    pictures: from `windowed`.
    size: S.
    batch_size: windows at a time, of one picture or several.

  Yields:
    The target [H, W], and float32 [H, W, K].
  """
  for each, maps in maps_of(
    predict, pictures, size=size, batch_size=batch_size
  ):
    target = each.example.target
    if target is None:
      raise ValueError('pictures without targets have nothing to predict')
    yield target, _whole(each, maps, target.shape, size)


def maps_of(
  predict: Callable[[np.ndarray], Any],
  pictures: Iterable[Windowed],
  *,
  size: int,
  batch_size: int,
) -> Iterator[tuple[Windowed, list[np.ndarray]]]:
  """Yields pictures with the maps of their windows; see `predictions`."""
  waiting: list[Windowed] = []

  def windows() -> Iterator[np.ndarray]:
    for each in pictures:
      waiting.append(each)
      for top, left in each.corners:
        yield each.image[top : top + size, left : left + size]

  maps = in_batches(predict, windows(), batch_size=batch_size)
  for first in maps:
    each = waiting.pop(0)
    yield each, [first, *(next(maps) for _ in each.corners[1:])]


def _whole(
  each: Windowed, maps: list[np.ndarray], shape: tuple[int, ...], size: int
) -> np.ndarray:
  if len(maps) == 1:
    found = resize(maps[0], (size, size))
    return resize(found, (shape[0], shape[1]))
  height, width = each.image.shape[:2]
  total = np.zeros((height, width, maps[0].shape[-1]), np.float32)
  count = np.zeros((height, width, 1), np.float32)
  for (top, left), found in zip(each.corners, maps, strict=True):
    place = slice(top, top + size), slice(left, left + size)
    total[place] += resize(found, (size, size))
    count[place] += 1
  return resize(total / count, (shape[0], shape[1]))
