"""Losses that compare every embedding with every other one of the batch."""

import chex
import jax
import jax.numpy as jnp
import optax

from jaxssl.parallel import collectives

# Added to a row's similarity with itself; exp(-1e9) is 0 in float32.
_SELF = -1e9


def l2_normalize(x: jax.Array, *, epsilon: float = 1e-12) -> jax.Array:
  """Divides by the Euclidean norm of the last axis, in float32.

  Args:
    x: [..., D].
    epsilon: lower bound of the squared norm, so that the gradient at zero is
      finite (TensorFlow's `l2_normalize`, which SimCLR uses).

  Returns:
    float32 [..., D] with norm 1, or x / sqrt(epsilon) near zero.
  """
  x = x.astype(jnp.float32)
  square = jnp.sum(x * x, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, epsilon))


def nt_xent(
  z1: jax.Array,
  z2: jax.Array,
  *,
  temperature: float,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Normalised temperature-scaled cross entropy over a batch of pairs.

  With the 2B embeddings of the global batch and sim = cosine similarity,

    loss = 1/(2B) sum_i -log( exp(sim(i, j(i)) / T)
                              / sum_{k != i} exp(sim(i, k) / T) )

  where j(i) is the other view of the same image. The sum in the denominator
  goes over 2B - 1 terms. At random embeddings loss = ln(2B - 1).

  Args:
    z1: [b, D], embeddings of the first view (any norm).
    z2: [b, D], embeddings of the second view, same rows.
    temperature: T > 0.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Returns:
    The mean loss over the rows at hand and the share of rows whose nearest
    neighbour among the other 2B - 1 is their other view; float32 scalars.

  References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual
    Representations, 2020, https://arxiv.org/abs/2002.05709, equation 1. The
    authors' code (google-research/simclr, objective.py) *sums* the two
    directions and so returns `simclr.AUTHORS_FACTOR` = 2 times this value.
  """
  chex.assert_rank([z1, z2], 2)
  chex.assert_equal_shape([z1, z2])
  z1, z2 = l2_normalize(z1), l2_normalize(z2)
  rows = collectives.row_ids(len(z1), axis_name)
  all1 = collectives.gather(z1, axis_name)  # [B, D]
  all2 = collectives.gather(z2, axis_name)  # [B, D]
  itself = _SELF * jax.nn.one_hot(rows, len(all1))  # [b, B]

  def one_direction(anchor, same, other):
    logits = jnp.concatenate(
      [
        anchor @ other.T / temperature,
        anchor @ same.T / temperature + itself,
      ],
      axis=1,
    )  # [b, 2B]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, rows)
    return jnp.mean(losses), jnp.mean(jnp.argmax(logits, axis=1) == rows)

  loss1, top1 = one_direction(z1, all1, all2)
  loss2, top2 = one_direction(z2, all2, all1)
  return (loss1 + loss2) / 2, (top1 + top2) / 2


def info_nce(
  queries: jax.Array,
  keys: jax.Array,
  *,
  temperature: float,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Classifies each query's own key among the keys of the global batch.

    loss = 1/B sum_i -log( exp(q_i . k_i / T) / sum_j exp(q_i . k_j / T) )

  for unit vectors q and k. At random embeddings loss is about ln B.

  Args:
    queries: [b, D] (any norm).
    keys: [b, D], same rows (any norm).
    temperature: T > 0.
    axis_name: mapped device axis; the keys are then those of all devices.

  Returns:
    The mean loss over the rows at hand and the share of queries that are
    nearest to their own key; float32 scalars.

  References:
    van den Oord et al., 2018, https://arxiv.org/abs/1807.03748, equation 4;
    Chen et al., An Empirical Study of Training Self-Supervised Vision
    Transformers, 2021, https://arxiv.org/abs/2104.02057, equation 1 (`ctr` of
    the authors' code is 2 T times this value).
  """
  chex.assert_rank([queries, keys], 2)
  chex.assert_equal_shape([queries, keys])
  rows = collectives.row_ids(len(queries), axis_name)
  keys = collectives.gather(l2_normalize(keys), axis_name)
  logits = l2_normalize(queries) @ keys.T / temperature
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, rows)
  return jnp.mean(losses), jnp.mean(jnp.argmax(logits, axis=1) == rows)


def queue_nce(
  queries: jax.Array, keys: jax.Array, queue: jax.Array, *, temperature: float
) -> tuple[jax.Array, jax.Array]:
  """Classifies each query's own key among itself and the keys of a queue.

    loss = 1/b sum_i -log( exp(q_i . k_i / T)
                           / (exp(q_i . k_i / T) + sum_j exp(q_i . n_j / T)) )

  for unit vectors q, k and n. At random embeddings loss is about ln(K + 1).

  Args:
    queries: [b, D] (any norm).
    keys: [b, D], same rows (any norm).
    queue: [K, D], negatives of norm 1.
    temperature: T > 0.

  Returns:
    The mean loss over the rows at hand and the share of queries whose own key
    is nearer than the whole queue; float32 scalars.

  References:
    He et al., Momentum Contrast for Unsupervised Visual Representation
    Learning, 2020, https://arxiv.org/abs/1911.05722, equation 1 and algorithm
    1 (moco/builder.py of facebookresearch/moco).
  """
  chex.assert_equal_shape([queries, keys])
  q, k = l2_normalize(queries), l2_normalize(keys)
  positive = jnp.sum(q * k, axis=1, keepdims=True)
  logits = jnp.concatenate([positive, q @ queue.T], axis=1) / temperature
  # -log softmax of column 0.
  losses = jax.nn.logsumexp(logits, axis=1) - logits[:, 0]
  return jnp.mean(losses), jnp.mean(jnp.argmax(logits, axis=1) == 0)
