"""At which place a search finds what it should, for any number of answers."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors, finite


def ranks(
  queries: np.ndarray,
  bank: np.ndarray,
  *,
  query_ids: np.ndarray,
  bank_ids: np.ndarray,
  chunk: int = 256,
) -> np.ndarray:
  """Returns the place of the best right answer to each query, from 0.

  The bank is sorted by cosine similarity, of equal ones the first; a row of the
  bank is a right answer if it has the query's id. Queries pass in chunks, so
  that memory is O(chunk · m).

  Args:
    queries: float [n, K], of any length but 0.
    bank: float [m, K].
    query_ids: int [n], each among `bank_ids`.
    bank_ids: int [m].
    chunk: queries at a time.

  Returns:
    int32 [n]; k or above: not among the first k.

  Raises:
    jaxssl.errors.UserError: if a query has no right answer, shapes differ, or a
      number is not finite.
  """
  if queries.shape[1:] != bank.shape[1:] or queries.ndim != 2:
    raise errors.UserError(
      f'queries {queries.shape} and bank {bank.shape} must be [n, K] and [m, K]'
    )
  if not np.isin(query_ids, bank_ids).all():
    raise errors.UserError('a query has no right answer in the bank')
  finite.require_rows(queries, 'features of queries')
  finite.require_rows(bank, 'features of answers')
  answers = jnp.asarray(bank, jnp.float32)
  answer_ids = jnp.asarray(bank_ids, jnp.int32)
  chunk = min(chunk, len(queries))
  found = []
  for first in range(0, len(queries), chunk):
    rows = _filled(queries[first : first + chunk], chunk)
    ids = _filled(query_ids[first : first + chunk], chunk)
    wanted = jnp.asarray(rows, jnp.float32)
    found.append(_ranks(wanted, answers, ids, answer_ids))
  return np.concatenate(found)[: len(queries)]


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
  """Repeats the last row, so that every chunk has one shape."""
  return np.pad(
    rows, [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1), 'edge'
  )


@jax.jit
def _ranks(
  queries: jax.Array,
  bank: jax.Array,
  query_ids: jax.Array,
  bank_ids: jax.Array,
) -> jax.Array:
  # Products in TF32 or bfloat16 would reorder answers. Only the bank needs its
  # length 1: that of a query changes no order.
  norm = jnp.linalg.norm(bank, axis=-1, keepdims=True)
  bank = bank / jnp.maximum(norm, 1e-12)
  scores = jnp.matmul(queries, bank.T, precision='highest')
  right = query_ids.astype(jnp.int32)[:, None] == bank_ids[None]
  own = jnp.where(right, scores, -jnp.inf)
  best = own.max(axis=1, keepdims=True)
  place = own.argmax(axis=1)[:, None]
  before = jnp.arange(len(bank))[None] < place
  # Counted are the rows that are not worse, because a score that overflowed to
  # NaN is neither: such a query must have the last place and not the first.
  worse = (scores < best) | ((scores == best) & ~before)
  return (~worse).sum(axis=1, dtype=jnp.int32)
