"""Patch correspondence: is a patch found again where it has moved to?

A picture and the same picture turned, enlarged and shifted, so that every
place of one is known in the other. Each patch is looked up among the patches
of the other picture by cosine; PCK, the percentage of correct keypoints (Yang
& Ramanan 2013), counts those that are found near enough.
"""

from collections.abc import Iterator
import dataclasses
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from jaxssl import errors
from jaxssl.data import dense
from jaxssl.data.dense import Pictures
from jaxssl.data.optional import require
from jaxssl.data.order import uniform
from jaxssl.data.scenes import Moved
from jaxssl.data.source import Source
from jaxssl.evals.needs import DenseLook
from jaxssl.evals.patch_features import PatchEncoder, in_batches
from jaxssl.evals.table import headlines
from jaxssl.fields import Count, check_fields

Pairs = Literal['warp', 'moved']


@runtime_checkable
class MovingSource(Source, Protocol):
  """A source that shows the same things at other places."""

  def moved(self, index: int) -> Moved:
    """Returns a picture, the other one, and what lies where."""
    ...


class Pair(NamedTuple):
  """Two pictures of one size.

  Attributes:
    first: uint8 [S, S, 3].
    second: uint8 [S, S, 3].
    places: where the middle of each patch of the first lies in the second,
      float64 [h, w, 2], x and y in pixels; NaN where it is not seen.
  """

  first: np.ndarray
  second: np.ndarray
  places: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correspondence:
  """Patches found again after a known warp of the picture.

  Pictures are squashed to one window, then turned, enlarged and shifted about
  their middle by amounts drawn for each. What comes in from outside is black.
  Patches that leave the picture do not count.

  Attributes:
    alphas: how near, as shares of the side; the first gives the headline.
    pairs: warp, or moved for shapes, where every object moves by itself.
    rotation: largest angle, degrees.
    zoom: largest factor; as often by its inverse.
    shift: largest shift, as a share of the side.
    batch_size: windows at a time.
    size: side of a window in pixels; none is that of the encoder's pictures.
    seed: seed of the warps.
  """

  name = 'correspondence-v1'
  needs: ClassVar[type] = DenseLook
  target: ClassVar[None] = None
  alphas: tuple[float, ...] = (0.1, 0.05, 0.2)
  pairs: str = 'warp'
  rotation: float = 30.0
  zoom: float = 1.25
  shift: float = 0.1
  batch_size: Count = 16
  size: int | None = None
  seed: int = 0

  table = headlines('pck', 'best_pck')

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers that make no sense."""
    check_fields(self)
    if self.pairs not in ('warp', 'moved'):
      raise errors.unknown('kind of pairs', self.pairs, ('warp', 'moved'))
    if not self.alphas or min(self.alphas) <= 0 or self.zoom < 1:
      raise errors.UserError(
        f'alphas must be above 0 and zoom at least 1, not {self.alphas} and '
        f'{self.zoom}'
      )

  def check(self, *sources: Source) -> None:
    """Refuses sources whose pictures do not move; see `Evaluation.check`."""
    for source in sources:
      if self.pairs == 'moved' and not isinstance(source, MovingSource):
        raise errors.UserError(
          f'{source.name} does not know what moves where; leave out --pairs '
          'moved, or take --data shapes'
        )

  def run(self, patches: PatchEncoder, pictures: Pictures) -> dict[str, float]:
    """Measures.

    Args:
      patches: the encoder.
      pictures: any.

    Returns:
      `pck` (with `alphas[0]`) and `pck_<alpha>` for every alpha, shares of the
      patches of all pictures; `best_pck`, what the nearest patch gives, which
      no encoder exceeds; `constant_pck`, what a patch drawn at random gives;
      `num_patches`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if no picture can be read.
    """
    near: dict[str, list[np.ndarray]] = {}
    centers = _centers(patches)
    for pair, first, second in self._encoded(patches, pictures):
      places = pair.places.reshape(-1, 2)
      seen = np.isfinite(places).all(axis=1)
      found = nearest(first, second)[seen]
      # Distances of each place to every patch, as shares of the side.
      away = np.linalg.norm(places[seen][:, None] - centers[None], axis=-1)
      away /= patches.size
      chosen = away[np.arange(len(found)), found]
      for alpha in self.alphas:
        near.setdefault(f'pck_{alpha:g}', []).append(chosen <= alpha)
      near.setdefault('best_pck', []).append(away.min(axis=1) <= self.alphas[0])
      near.setdefault('constant_pck', []).append(
        (away <= self.alphas[0]).mean(axis=1)
      )
    if not near or not sum(map(len, near['best_pck'])):
      raise errors.UserError(
        f'{pictures.source.name}: not one patch of a picture can be compared'
      )
    shares = {k: float(np.concatenate(v).mean()) for k, v in near.items()}
    return {
      'pck': shares[f'pck_{self.alphas[0]:g}'],
      **shares,
      'num_patches': sum(map(len, near['best_pck'])),
      'num_test': len(near['best_pck']),
    }

  def _encoded(
    self, patches: PatchEncoder, pictures: Pictures
  ) -> Iterator[tuple[Pair, np.ndarray, np.ndarray]]:
    """Yields pairs and the features of both, [h w, D]."""
    waiting: list[Pair] = []

    def windows() -> Iterator[np.ndarray]:
      for pair in self._pairs(patches, pictures):
        waiting.append(pair)
        yield pair.first
        yield pair.second

    maps = in_batches(patches, windows(), batch_size=self.batch_size)
    for first in maps:
      second = next(maps)
      flat = [m.reshape(-1, m.shape[-1]) for m in (first, second)]
      yield waiting.pop(0), flat[0], flat[1]

  def _pairs(self, patches: PatchEncoder, pictures: Pictures) -> Iterator[Pair]:
    size = patches.size, patches.size
    for example in pictures:
      if self.pairs == 'moved' and isinstance(pictures.source, MovingSource):
        yield _of_moved(pictures.source.moved(example.index), patches)
        continue
      image = dense.resize_picture(example.image, size, patches.interpolation)
      yield _warped(image, self._warp(patches.size, example.index), patches)

  def _warp(self, size: int, index: int) -> np.ndarray:
    """Returns the matrix [2, 3] from places of a picture to the warped one."""
    draws = uniform(self.seed, index, np.arange(4))
    turn, zoom, *shift = (2 * draws - 1).tolist()
    angle, factor = np.deg2rad(self.rotation) * turn, self.zoom**zoom
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, size / 2)
    offset = middle - linear @ middle + self.shift * size * np.array(shift)
    return np.column_stack([linear, offset])


def nearest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns for each row of `first` the row of `second` with largest cosine."""
  first, second = (
    x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    for x in (first, second)
  )
  return (first @ second.T).argmax(axis=1)


def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Returns a picture whose place `matrix @ (x, y, 1)` shows (x, y).

  Args:
    image: uint8 [S, S, 3], or uint16 of C channels.
    matrix: [2, 3]; pixel 0 reaches from 0 to 1.
  """
  pil = require('PIL.Image', extra='data')
  inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2].ravel().tolist()

  def warped(pixels: np.ndarray) -> np.ndarray:
    picture = pil.fromarray(pixels)
    found = picture.transform(
      picture.size,
      pil.Transform.AFFINE,
      inverse,
      resample=pil.Resampling.BICUBIC,
    )
    return np.asarray(found)

  if image.dtype == np.uint8:
    return warped(image)
  # Pillow has no mode of many channels; float32 holds 16 bits.
  channels = [
    warped(channel) for channel in np.moveaxis(image.astype(np.float32), -1, 0)
  ]
  whole = np.rint(np.stack(channels, axis=-1)).clip(0, 65535)
  return whole.astype(np.uint16)


def _centers(patches: PatchEncoder) -> np.ndarray:
  """Returns x and y of the middle of each patch, [h w, 2], in pixels."""
  middles = (np.arange(patches.side) + 0.5) * patches.stride
  return np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)


def _warped(
  image: np.ndarray, matrix: np.ndarray, patches: PatchEncoder
) -> Pair:
  centers = _centers(patches)
  places = centers @ matrix[:, :2].T + matrix[:, 2]
  inside = np.all((places >= 0) & (places < patches.size), axis=1)
  places = np.where(inside[:, None], places, np.nan)
  return Pair(image, warp_image(image, matrix), places)


def _of_moved(found: Moved, patches: PatchEncoder) -> Pair:
  size = patches.size, patches.size
  first, second = (
    dense.resize_picture(image, size, patches.interpolation)
    for image in (found.image, found.moved)
  )
  # In pixels of the rendered picture, and back.
  scale = patches.size / len(found.image)
  column, row = (_centers(patches) / scale).astype(int).T
  return Pair(first, second, found.places[row, column] * scale)
