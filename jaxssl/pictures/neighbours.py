"""The training images that are most like an image, as the encoder sees it."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
from typing import Any

import numpy as np

from jaxssl import errors, finite
from jaxssl.data.shown import show_like
from jaxssl.evals.features import Features
from jaxssl.evals.largest import largest
from jaxssl.pictures.panel import Column, Panel

_EMPTY = -np.inf  # similarity of a place that nothing has filled yet


@dataclasses.dataclass(frozen=True)
class Neighbours:
  """The most similar images of a bank, most similar first.

  Attributes:
    similarity: float32 [n, k], cosine.
    images: uint8 [n, k, H, W, 3].
    labels: int32 [n, k], -1 where unknown.
    index: int [n, k], records of the bank.
  """

  similarity: np.ndarray
  images: np.ndarray
  labels: np.ndarray
  index: np.ndarray


def find(
  queries: np.ndarray,
  encode: Callable[[Any], Any],
  bank: Iterable[dict[str, Any]],
  *,
  k: int,
  skip: np.ndarray | None = None,
) -> Neighbours:
  """Finds the nearest neighbours by cosine similarity, in one pass.

  Only the k nearest images so far are kept, so the bank may be of any size. Of
  equally similar images the earlier one is nearer.

  Args:
    queries: features, float [n, D].
    encode: images of a batch -> features [b, D].
    bank: evaluation batches: `image` uint8 [b, H, W, 3], `label` [b], `index`
      [b] and `mask` [b].
    k: how many; fewer are returned if the bank has fewer.
    skip: int [n], for each query the record of the bank that it is itself.

  Raises:
    jaxssl.errors.UserError: if the bank has no batch, or features are not
      finite.
  """
  queries = unit(queries)
  best: Neighbours | None = None
  for batch in bank:
    rows = np.asarray(encode(batch['image']))
    finite.require_rows(rows[batch['mask']], 'features')
    similarity = queries @ unit(rows).T
    similarity[:, ~batch['mask']] = _EMPTY
    if skip is not None:
      similarity[batch['index'][None] == skip[:, None]] = _EMPTY
    best = _merge(best or _start(len(queries), k, batch), similarity, batch)
  if best is None:
    raise errors.UserError('there are no pictures to find neighbours among')
  found = np.isfinite(best.similarity).all(axis=0)
  return Neighbours(
    best.similarity[:, found],
    best.images[:, found],
    best.labels[:, found],
    best.index[:, found],
  )


def neighbours_panel(
  images: np.ndarray,
  data: Features,
  neighbours: Neighbours,
  *,
  found_classes: Sequence[str] = (),
  names: Sequence[str] = (),
  found_names: Sequence[Sequence[str]] = (),
) -> Panel:
  """Draws images and their nearest neighbours, with labels where known.

  Args:
    images: the queries, uint8 [n, H, W, 3].
    data: their features and labels, and the names of the classes.
    neighbours: from `find`.
    found_classes: names of the classes of the neighbours, whose numbers may be
      others than those of `data`.
    names: names of the queries, for example of their files.
    found_names: the same of the neighbours, [n][k].
  """
  show = show_like(images)
  columns = [
    Column(
      title='image',
      images=show(images),
      captions=[_name(label, data.class_names) for label in data.labels],
      names=names,
    )
  ]
  for place in range(neighbours.images.shape[1]):
    captions = [
      (f'{similarity:.2f}', _name(label, found_classes))
      for similarity, label in zip(
        neighbours.similarity[:, place],
        neighbours.labels[:, place],
        strict=True,
      )
    ]
    columns.append(
      Column(
        title=f'neighbour {place + 1}',
        images=show(neighbours.images[:, place]),
        captions=captions,
        names=[row[place] for row in found_names],
        is_right=[
          _name(theirs, found_classes) == _name(own, data.class_names)
          if min(theirs, own) >= 0
          else None
          for theirs, own in zip(
            neighbours.labels[:, place], data.labels, strict=True
          )
        ],
      )
    )
  return Panel(
    name='neighbours',
    title='Nearest neighbours among the training images',
    text='Left, images that are looked up; beside each the training images '
    'whose features are most similar, with their cosine similarity and, where '
    'it is known, their label: a green frame where it is that of the image, an '
    'orange one where it is another.',
    columns=columns,
  )


def unit(features: np.ndarray) -> np.ndarray:
  """Returns features of length 1, float32 [..., D]."""
  # Rounded at the end only, and half precision not at all.
  wide = features.astype(np.promote_types(features.dtype, np.float32))
  norm = np.linalg.norm(wide, axis=-1, keepdims=True)
  return (wide / np.maximum(norm, 1e-12)).astype(np.float32)


def _start(n: int, k: int, batch: dict[str, Any]) -> Neighbours:
  return Neighbours(
    np.full((n, k), _EMPTY, np.float32),
    np.zeros((n, k, *batch['image'].shape[1:]), batch['image'].dtype),
    np.full((n, k), -1, np.int32),
    np.full((n, k), -1, np.int64),
  )


def _merge(
  best: Neighbours, similarity: np.ndarray, batch: dict[str, Any]
) -> Neighbours:
  """Returns the best of the best so far and a batch, similarity [n, b]."""
  k = best.similarity.shape[1]
  both = np.concatenate([best.similarity, similarity], axis=1)
  order = largest(both, k)
  rows = np.arange(len(order))[:, None]
  old, new = np.minimum(order, k - 1), np.maximum(order - k, 0)
  is_old = order < k
  return Neighbours(
    both[rows, order],
    np.where(
      is_old[..., None, None, None],
      best.images[rows, old],
      batch['image'][new],
    ),
    np.where(is_old, best.labels[rows, old], batch['label'][new]),
    np.where(is_old, best.index[rows, old], batch['index'][new]),
  )


def _name(label: int, class_names: Sequence[str]) -> str:
  """Returns the name of a class, its number, or nothing if it is unknown."""
  if label < 0:
    return ''
  return class_names[label] if label < len(class_names) else f'class {label}'
