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
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors, finite
from jaxssl.evals import labels
from jaxssl.evals.features import Features
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
    train, test, num_classes = labels.of_both(train, test)
    predicted = knn_predict(
      train.features,
      train.labels,
      test.features,
      ks=self.ks,
      temperature=self.temperature,
      num_classes=num_classes,
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
    train, test, num_classes = labels.of_both(train, test)
    predicted = knn_predict(
      train.features,
      train.labels,
      test.features,
      ks=self.ks[:1],
      temperature=self.temperature,
      num_classes=num_classes,
    )
    return predicted[self.ks[0]] == test.labels


def knn_predict(
  bank: np.ndarray,
  bank_labels: np.ndarray,
  queries: np.ndarray,
  *,
  ks: Sequence[int] = KS,
  temperature: float = TEMPERATURE,
  num_classes: int | None = None,
  query_chunk: int = 1024,
  bank_chunk: int = 16384,
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
    num_classes: number of classes; None takes the largest label plus one.
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
  num_classes = num_classes or int(np.max(bank_labels)) + 1
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
      num_classes=num_classes,
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
) -> list[tuple[jax.Array, jax.Array]]:
  """Returns similarities and labels of the nearest rows, per chunk."""
  # Small sets are one chunk; the sizes are fixed so that each compiles once.
  query_chunk = min(query_chunk, len(queries))
  bank_chunk = min(bank_chunk, len(bank))
  nearest = [
    (
      jnp.full((query_chunk, count), -jnp.inf),
      jnp.full((query_chunk, count), -1, jnp.int32),
    )
    for _ in range(0, len(queries), query_chunk)
  ]
  for first in range(0, len(bank), bank_chunk):
    part = _pad(bank[first : first + bank_chunk], bank_chunk, 0)
    votes = _pad(bank_labels[first : first + bank_chunk], bank_chunk, -1)
    part, votes = jnp.asarray(part), jnp.asarray(votes, jnp.int32)
    for i, state in enumerate(nearest):
      rows = queries[i * query_chunk : (i + 1) * query_chunk]
      nearest[i] = _merge(state, _pad(rows, query_chunk, 0), part, votes)
  return nearest


def _pad(rows: np.ndarray, size: int, value: float) -> np.ndarray:
  widths = [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
  return np.pad(rows, widths, constant_values=value)


def _normalize(x: jax.Array) -> jax.Array:
  x = x.astype(jnp.float32)
  norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
  return x / jnp.maximum(norm, 1e-12)


@jax.jit
def _merge(
  nearest: tuple[jax.Array, jax.Array],
  queries: jax.Array,
  bank: jax.Array,
  labels: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Merges a chunk of the bank into the nearest neighbours so far.

  Args:
    nearest: similarities [q, K], falling, and labels [q, K].
    queries: [q, D].
    bank: [c, D].
    labels: [c]; -1 for padding and for rows that do not vote.

  Returns:
    `nearest` over the old neighbours and this chunk.
  """
  # The default precision of TF32 or bfloat16 products would reorder neighbours.
  similarity = jnp.matmul(
    _normalize(queries), _normalize(bank).T, precision='highest'
  )
  similarity = jnp.where(labels[None] >= 0, similarity, -jnp.inf)
  similarity, labels = jax.tree.map(
    lambda old, new: jnp.concatenate([old, new], axis=1),
    nearest,
    (similarity, jnp.broadcast_to(labels[None], similarity.shape)),
  )
  # top_k prefers the lower index among equals: older chunks, then earlier rows.
  similarity, at = jax.lax.top_k(similarity, nearest[0].shape[1])
  return similarity, jnp.take_along_axis(labels, at, axis=1)


@functools.partial(jax.jit, static_argnames=('ks', 'num_classes'))
def _vote(
  similarity: jax.Array,
  labels: jax.Array,
  temperature: jax.Array,
  *,
  ks: tuple[int, ...],
  num_classes: int,
) -> dict[int, jax.Array]:
  """Returns the winning class of each query for every k of the rising `ks`."""
  # Relative to the nearest one, exp cannot overflow at any temperature.
  weights = jnp.exp((similarity - similarity[:, :1]) / temperature)

  # One neighbour at a time: sums in a fixed order, memory of one vote table.
  def add(
    votes: jax.Array, neighbour: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    weight, label = neighbour
    one_hot = jax.nn.one_hot(label, num_classes)
    return votes + weight[:, None] * one_hot, None

  votes = jnp.zeros((len(labels), num_classes))
  winners = {}
  for first, last in itertools.pairwise((0, *ks)):
    neighbours = weights.T[first:last], labels.T[first:last]
    votes, _ = jax.lax.scan(add, votes, neighbours)
    winners[last] = votes.argmax(axis=1).astype(jnp.int32)
  return winners
