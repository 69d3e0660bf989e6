"""Patches of other pictures that an encoder takes for the same thing."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxssl.data.shown import show_like
from jaxssl.evals.features import Encode
from jaxssl.pictures.neighbours import unit
from jaxssl.pictures.panel import Column, Panel

_FRAME = (255, 60, 0)
_GRAY = (110, 110, 110)


class Bank(NamedTuple):
  """Pictures to search.

  Attributes:
    images: uint8 [m, S, S, 3].
    features: unit vectors, float32 [m, h, w, D].
    records: which each is, int [m].
  """

  images: np.ndarray
  features: np.ndarray
  records: np.ndarray


def read_bank(encode: Encode, batches: Iterable[dict[str, Any]]) -> Bank:
  """Encodes pictures.

  Args:
    encode: images uint8 [b, S, S, 3] -> features [b, h, w, D].
    batches: evaluation batches, few: all of it is held.
  """
  images, features, index = [], [], []
  for batch in batches:
    mask = batch['mask']
    images.append(batch['image'][mask])
    features.append(unit(np.asarray(encode(batch['image']))[mask]))
    index.append(batch['index'][mask])
  return Bank(*map(np.concatenate, (images, features, index)))


def chosen_patches(features: np.ndarray) -> np.ndarray:
  """Returns row and column of the patch of each picture that is looked up.

  It is the one that is least like the mean of its picture: not the background.

  Args:
    features: unit vectors [n, h, w, D].

  Returns:
    int [n, 2].
  """
  mean = unit(features.mean(axis=(1, 2)))
  likeness = np.einsum('nhwd,nd->nhw', features, mean)
  at = likeness.reshape(len(features), -1).argmin(axis=1)
  return np.stack(np.divmod(at, features.shape[2]), axis=1)


def find(
  patch: np.ndarray, bank: Bank, *, k: int, skip: int
) -> list[tuple[int, tuple[int, int], float]]:
  """Returns the most similar patches, at most one of a picture.

  Args:
    patch: unit vector [D].
    bank: where to search.
    k: how many.
    skip: record that is not searched: the picture itself.

  Returns:
    Number in the bank, row and column, and cosine; most similar first.
  """
  cosine = bank.features @ patch
  flat = cosine.reshape(len(cosine), -1)
  best = flat.max(axis=1)
  best[bank.records == skip] = -np.inf
  order = np.argsort(-best, kind='stable')[:k]
  columns = bank.features.shape[2]
  return [
    (int(i), divmod(int(flat[i].argmax()), columns), float(best[i]))
    for i in order
    if np.isfinite(best[i])
  ]


def patch_neighbours_panel(
  images: np.ndarray,
  features: np.ndarray,
  index: np.ndarray,
  bank: Bank,
  *,
  k: int,
) -> Panel:
  """Draws a patch of each picture and the patches that are most like it.

  Args:
    images: uint8 [n, S, S, 3].
    features: of their patches, [n, h, w, D].
    index: their records in the bank, int [n]; -1 where they are not in it.
    bank: where to search.
    k: how many.
  """
  features = unit(features)
  patches = chosen_patches(features)
  stride = images.shape[1] // features.shape[1]
  show = show_like(images)
  images, others = show(images), show(bank.images)
  found = [
    find(features[i, row, column], bank, k=k, skip=int(index[i]))
    for i, (row, column) in enumerate(patches.tolist())
  ]
  columns = [
    Column(
      title='patch',
      images=np.stack(
        [
          framed(image, place, stride)
          for image, place in zip(images, patches.tolist(), strict=True)
        ]
      ),
    )
  ]
  for place in range(min(map(len, found))):
    some = [row[place] for row in found]
    columns.append(
      Column(
        title=f'like it {place + 1}',
        images=np.stack([framed(others[i], at, stride) for i, at, _ in some]),
        captions=[f'{cosine:.2f}' for _, _, cosine in some],
      )
    )
  return Panel(
    name='patch_neighbours',
    title='Patches that are alike',
    text='Left, of each picture the patch that is least like the rest of it; '
    'beside it the most similar patches of the training pictures, one of a '
    'picture, with their cosine similarity. The frame is the patch.',
    columns=columns,
  )


def framed(
  image: np.ndarray, place: tuple[int, int] | list[int], stride: int
) -> np.ndarray:
  """Returns a picture, pale but for one patch, with a frame around it.

  Args:
    image: uint8 [S, S, 3].
    place: row and column of the patch.
    stride: side of a patch in pixels.
  """
  pale = (image // 2 + np.array(_GRAY, np.uint8)).astype(np.uint8)
  top, left = (stride * at for at in place)
  inner = slice(top, top + stride), slice(left, left + stride)
  outer = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in inner)
  pale[outer] = _FRAME
  pale[inner] = image[inner]
  return pale
