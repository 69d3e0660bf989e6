"""Weighted k-nearest-neighbour classification, the quickest look at features.

Rule of Wu et al. 2018 (arXiv:1805.01978, section 3.4), in the setting of DINO
(arXiv:2104.14294, appendix F; facebookresearch/dino `eval_knn.py`): cosine
similarity of l2-normalised features, votes weighted by exp(similarity / T),
T = 0.07.
"""

from collections.abc import Sequence
import dataclasses
import functools
import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors, finite
from jaxssl.evals import labels
from jaxssl.evals.features import Features
from jaxssl.evals.largest import largest
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.table import headline

KS = (20, 10, 100, 200)
TEMPERATURE = 0.07


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knn:
  """Weighted kNN on cosine similarity, with the training set as the bank.

  class(q) = argmax_c Σ_{i in top-k(q)} exp(cos(q, x_i) / T) · 1[y_i = c]

  Attributes:
    ks: numbers of neighbours k; the first gives the headline, because the best
      of several is chosen on the test labels.
    temperature: T, above 0.
  """

  name = 'knn-v1'
  needs: ClassVar[type] = FrozenFeatures
  ks: tuple[int, ...] = KS
  temperature: float = TEMPERATURE

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers that make no sense."""
    _check_votes(self.ks, self.temperature)

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """Measures the accuracy; rows without a label are ignored.

    Args:
      train: features of the training split.
      test: features of the test split.

    Returns:
      `top1` and `mean_per_class` (with `ks[0]`) and `top1_k<k>` for every k,
      fractions in [0, 1]; `num_train` and `num_test`, the rows that counted.

    Raises:
      jaxssl.errors.UserError: if a split has no label, or names other classes.
    """
    train, test, _ = labels.of_both(train, test)
    predicted = knn_predict(
      train.features,
      train.labels,
      test.features,
      ks=self.ks,
      temperature=self.temperature,
    )
    top1 = {k: float((p == test.labels).mean()) for k, p in predicted.items()}
    return {
      **labels.accuracies(predicted[self.ks[0]], test.labels),
      **{f'top1_k{k}': top1[k] for k in sorted(top1)},
      'num_train': len(train.labels),
      'num_test': len(test.labels),
    }

  def hits(self, train: Features, test: Features) -> np.ndarray:
    """Returns whether `ks[0]` neighbours find each label, bool [m].

    Args:
      train: see `run`.
      test: see `run`; m of its rows have a label.

    Raises:
      jaxssl.errors.UserError: see `run`.
    """
    train, test, _ = labels.of_both(train, test)
    predicted = knn_predict(
      train.features,
      train.labels,
      test.features,
      ks=self.ks[:1],
      temperature=self.temperature,
    )
    return predicted[self.ks[0]] == test.labels


def knn_predict(
  bank: np.ndarray,
  bank_labels: np.ndarray,
  queries: np.ndarray,
  *,
  ks: Sequence[int] = KS,
  temperature: float = TEMPERATURE,
  query_chunk: int = 1024,
  bank_chunk: int = 65536,
) -> dict[int, np.ndarray]:
  """Classifies every query by the votes of its nearest neighbours.

  The bank passes over the device once, chunk by chunk, while each query keeps
  its best `max(ks)` neighbours so far: neither the similarities nor the
  features need to fit. Every k is read off the same list. Of equally similar
  neighbours the one that stands first in the bank is taken, of equally voted
  classes the lowest, whatever the chunks.

  Args:
    bank: features with known classes, float [n, D].
    bank_labels: int [n]; rows with -1 do not vote.
    queries: features to classify, float [m, D].
    ks: numbers of neighbours k.
    temperature: T, above 0.
    query_chunk: rows of queries on the device at a time.
    bank_chunk: rows of the bank on the device at a time.

  Returns:
    For each k the predicted classes, int32 [m]; a k above n lets the whole
    bank vote.

  Raises:
    jaxssl.errors.UserError: if no label of the bank is known, or if the
      shapes do not fit.
  """
  _check_votes(ks, temperature)
  _check(bank, bank_labels, queries)
  nearest = _nearest(
    bank,
    bank_labels,
    queries,
    count=max(ks),
    query_chunk=query_chunk,
    bank_chunk=bank_chunk,
  )
  votes = [
    _vote(
      *state,
      temperature,
      ks=tuple(sorted(set(ks))),
    )
    for state in nearest
  ]
  return {
    k: np.concatenate([np.asarray(v[k]) for v in votes])[: len(queries)]
    for k in ks
  }


def _check_votes(ks: Sequence[int], temperature: float) -> None:
  if not ks or min(ks) < 1 or temperature <= 0:
    raise errors.UserError(
      f'ks must be at least 1 and temperature above 0, got ks={ks} '
      f'and temperature={temperature}'
    )


def _check(
  bank: np.ndarray, bank_labels: np.ndarray, queries: np.ndarray
) -> None:
  """Raises a `UserError` for what cannot be classified."""
  if not len(queries) or not np.any(np.asarray(bank_labels) >= 0):
    raise errors.UserError(
      'kNN needs at least one query and one bank row with a label >= 0'
    )
  if bank.shape[1:] != queries.shape[1:] or len(bank) != len(bank_labels):
    raise errors.UserError(
      f'bank {bank.shape}, bank_labels {np.shape(bank_labels)} and queries '
      f'{queries.shape} do not fit; they must be [n, D], [n] and [m, D]'
    )
  finite.require_rows(bank, 'features of the bank')
  finite.require_rows(queries, 'features of queries')


def _nearest(
  bank: np.ndarray,
  bank_labels: np.ndarray,
  queries: np.ndarray,
  *,
  count: int,
  query_chunk: int,
  bank_chunk: int,
) -> list[tuple[jax.Array | np.ndarray, jax.Array | np.ndarray]]:
  """Returns similarities and labels of the nearest rows, per chunk."""
  query_chunk = _even_size(len(queries), query_chunk)
  bank_chunk = _even_size(len(bank), bank_chunk)
  parts = [
    normalize(_pad(queries[first : first + query_chunk], query_chunk, 0))
    for first in range(0, len(queries), query_chunk)
  ]
  nearest: list[Any] = [None] * len(parts)
  merge = _merge_on_host if jax.default_backend() == 'cpu' else _merge
  for first in range(0, len(bank), bank_chunk):
    # Once for all queries: it costs as much as the products with a few of them.
    rows = normalize(_pad(bank[first : first + bank_chunk], bank_chunk, 0))
    votes = _pad(bank_labels[first : first + bank_chunk], bank_chunk, -1)
    masked = bool(np.any(votes < 0))
    votes = jnp.asarray(votes, jnp.int32)
    nearest = [
      merge(state, part, rows, votes, count=count, masked=masked)
      for state, part in zip(nearest, parts, strict=True)
    ]
  return nearest


def _even_size(rows: int, largest: int) -> int:
  """Returns the size of equal chunks, which all but the last one fill.

  One size, so that each program compiles once. Chunks of the largest size
  would be padded by up to a whole chunk.
  """
  return -(-rows // -(-rows // largest))


def _pad(rows: np.ndarray, size: int, value: float) -> np.ndarray:
  if len(rows) == size:
    return rows  # a copy takes as long as a tenth of a search
  widths = [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
  return np.pad(rows, widths, constant_values=value)


@jax.jit
def normalize(x: jax.Array) -> jax.Array:
  """Returns features [n, D] of length one, float32; zeros stay."""
  x = x.astype(jnp.float32)
  norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
  return x / jnp.maximum(norm, 1e-12)


@functools.partial(jax.jit, static_argnames=('count', 'masked'))
def _merge(
  nearest: tuple[jax.Array, jax.Array] | None,
  queries: jax.Array,
  bank: jax.Array,
  labels: jax.Array,
  *,
  count: int,
  masked: bool,
) -> tuple[jax.Array, jax.Array]:
  """Merges a chunk of the bank into the nearest neighbours so far.

  Args:
    nearest: similarities [q, K], falling, and labels [q, K]; None before the
      first chunk.
    queries: [q, D], of length one.
    bank: [c, D], of length one.
    labels: [c]; -1 for padding and for rows that do not vote.
    count: neighbours that are kept.
    masked: whether there are any of those.

  Returns:
    `nearest` over the old neighbours and this chunk, of `count` or, if there
    are fewer, all.
  """
  similarity = _similarity(queries, bank, labels, masked=masked)
  if nearest is not None:
    similarity = jnp.concatenate([nearest[0], similarity], axis=1)
  # top_k prefers the lower index among equals: older chunks, then earlier rows.
  best, at = jax.lax.top_k(similarity, min(count, similarity.shape[1]))
  if nearest is None:
    return best, labels[at]
  known = nearest[1].shape[1]
  old = jnp.take_along_axis(nearest[1], jnp.minimum(at, known - 1), axis=1)
  new = labels[jnp.maximum(at - known, 0)]
  return best, jnp.where(at < known, old, new)


def _merge_on_host(
  nearest: tuple[np.ndarray, np.ndarray] | None,
  queries: jax.Array,
  bank: jax.Array,
  labels: jax.Array,
  *,
  count: int,
  masked: bool,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what `_merge` does; on a CPU it is faster (`evals.largest`)."""
  # Not a copy: the host's memory is the device's.
  similarity = np.asarray(_similarity(queries, bank, labels, masked=masked))
  at = largest(similarity, min(count, similarity.shape[1]))
  best = np.take_along_axis(similarity, at, axis=1)
  found = np.asarray(labels)[at]
  if nearest is None:
    return best, found
  # Older chunks in front, so that they win among equals.
  best = np.concatenate([nearest[0], best], axis=1)
  found = np.concatenate([nearest[1], found], axis=1)
  at = largest(best, min(count, best.shape[1]))
  return np.take_along_axis(best, at, 1), np.take_along_axis(found, at, 1)


@functools.partial(jax.jit, static_argnames='masked')
def _similarity(
  queries: jax.Array, bank: jax.Array, labels: jax.Array, *, masked: bool
) -> jax.Array:
  """Returns the cosine [q, c] of unit vectors; see `_merge`."""
  # The default precision of TF32 or bfloat16 products would reorder neighbours.
  similarity = jnp.matmul(queries, bank.T, precision='highest')
  if not masked:
    return similarity  # one pass less over all of them
  return jnp.where(labels[None] >= 0, similarity, -jnp.inf)


@functools.partial(jax.jit, static_argnames='ks')
def _vote(
  similarity: jax.Array,
  labels: jax.Array,
  temperature: jax.Array,
  *,
  ks: tuple[int, ...],
) -> dict[int, jax.Array]:
  """Returns the winning class of each query for every k of the rising `ks`."""
  # Relative to the nearest one, exp cannot overflow at any temperature.
  weights = jnp.exp((similarity - similarity[:, :1]) / temperature)

  # A vote counts for each neighbour of its class, so [q, K] holds all votes: a
  # table of all classes would be longer. One neighbour at a time: sums in a
  # fixed order.
  def add(
    votes: jax.Array, neighbour: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    weight, label = neighbour
    return votes + weight[:, None] * (labels == label[:, None]), None

  votes = jnp.zeros(labels.shape)
  winners = {}
  for first, last in itertools.pairwise((0, *ks)):
    neighbours = weights.T[first:last], labels.T[first:last]
    votes, _ = jax.lax.scan(add, votes, neighbours)
    # The nearest one always has a class and a vote of one.
    known = jnp.where(labels >= 0, votes, -1)
    wins = known == known.max(axis=1, keepdims=True)
    winners[last] = jnp.where(wins, labels, _NO_CLASS).min(axis=1)
  return winners


_NO_CLASS = np.iinfo(np.int32).max
