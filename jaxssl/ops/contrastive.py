"""Losses that compare every embedding with every other one of the batch.

With p_i the logit of a row with its positive and N_i = log sum exp of those
with its negatives, cross entropy is -log(e^p / (e^p + e^N)) = softplus(N - p).
The negatives come from `ops.negatives`: as a full matrix, or with `chunk` in
blocks of so many columns, which large batches need.

Embeddings that say nothing are random directions of R^D. Among N choices their
expected loss is then more than ln N, because exp is convex. For large N it is

  chance(N) = ln N + ln E exp(c / T) = ln N + 1 / (2 D T^2) + O(1 / (D^3 T^4))

where c is the cosine of two random directions and E exp(c / T) is
Gamma(D/2) (2 T)^(D/2 - 1) I_{D/2 - 1}(1 / T), with the modified Bessel function
I. At N = 511, D = 128 and T = 0.1 it is 6.63, and ln N is 6.24.
"""

import chex
import jax
import jax.numpy as jnp

from jaxssl.ops import negatives
from jaxssl.parallel import collectives


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
  decoupled: bool = False,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Normalised temperature-scaled cross entropy over a batch of pairs.

  With the 2B embeddings of the global batch and sim = cosine similarity,

    loss = 1/(2B) sum_i -log( exp(sim(i, j(i)) / T)
                              / sum_{k != i} exp(sim(i, k) / T) )

  where j(i) is the other view of the same image. The sum in the denominator
  goes over 2B - 1 terms. At random embeddings the expected loss is about
  chance(2B - 1), see the top of this file.

  Args:
    z1: [b, D], embeddings of the first view (any norm).
    z2: [b, D], embeddings of the second view, same rows.
    temperature: T > 0.
    decoupled: leave k = j(i) out of the denominator, too, as decoupled
      contrastive learning does; about chance(2B - 2).
    chunk: columns of the matrix at a time, see `ops.negatives`; None: all.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Returns:
    The mean loss over the rows at hand and the share of rows whose nearest
    neighbour among the other 2B - 1 is their other view; float32 scalars.

  References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual
    Representations, 2020, https://arxiv.org/abs/2002.05709, equation 1. The
    authors' code (google-research/simclr, objective.py) *sums* the two
    directions and so returns `simclr.AUTHORS_FACTOR` = 2 times this value.
    Yeh et al., Decoupled Contrastive Learning, 2021,
    https://arxiv.org/abs/2110.06848, equation 6.
  """
  chex.assert_rank([z1, z2], 2)
  chex.assert_equal_shape([z1, z2])
  z1, z2 = l2_normalize(z1), l2_normalize(z2)
  positive = jnp.sum(z1 * z2, axis=1) / temperature
  # The views of an image are neighbours: one view behind the other, the rows of
  # a device would have to move before they can go around the ring.
  z = jnp.stack([z1, z2], axis=1).reshape(-1, z1.shape[1])
  # Both views have the number of their image and are not each other's negative.
  rows = jnp.repeat(collectives.row_ids(len(z1), axis_name), 2)
  others = negatives.logsumexp(
    z / temperature, z, rows, chunk=chunk, axis_name=axis_name
  )
  return _cross_entropy(jnp.repeat(positive, 2), others, decoupled=decoupled)


def info_nce(
  queries: jax.Array,
  keys: jax.Array,
  *,
  temperature: float | jax.Array,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Classifies each query's own key among the keys of the global batch.

    loss = 1/B sum_i -log( exp(q_i . k_i / T) / sum_j exp(q_i . k_j / T) )

  for unit vectors q and k. At random embeddings the expected loss is about
  chance(B), see the top of this file.

  A row can have several queries, which are rows of their own, and several keys
  k_in, each of which is a right answer:

    loss = 1/B sum_i 1/K sum_n
           -log( exp(q_i . k_in / T) / sum_jm exp(q_i . k_jm / T) )

  Then it is at least ln K, and about chance(B K) at random.

  Args:
    queries: [b, D] or [b, Q, D] (any norm).
    keys: [b, D] or [b, K, D], same rows (any norm).
    temperature: T > 0.
    chunk: columns of the matrix at a time, see `ops.negatives`; None: all.
    axis_name: mapped device axis; the keys are then those of all devices.

  Returns:
    The mean loss over the rows at hand and the share of queries that are
    nearest to a key of their own; float32 scalars.

  References:
    van den Oord et al., 2018, https://arxiv.org/abs/1807.03748, equation 4;
    Chen et al., An Empirical Study of Training Self-Supervised Vision
    Transformers, 2021, https://arxiv.org/abs/2104.02057, equation 1 (`ctr` of
    the authors' code is 2 T times this value); of several keys: Yang et al.,
    Unified Contrastive Learning in Image-Text-Label Space, 2022,
    https://arxiv.org/abs/2204.03610, equations 3 and 4.
  """
  q, k = _each(l2_normalize(queries) / temperature), _each(l2_normalize(keys))
  positive = _own_products(q, k)  # [b Q, K]
  rows = collectives.row_ids(len(q), axis_name)
  others = negatives.logsumexp(
    _flat(q),
    _flat(k),
    jnp.repeat(rows, q.shape[1]),
    jnp.repeat(rows, k.shape[1]),
    chunk=chunk,
    axis_name=axis_name,
  )
  # To one right answer, the other right ones are answers like the wrong ones.
  total = _with_siblings(others.total, positive)
  losses = jax.nn.softplus(total - positive)
  nearest = positive.max(1) > others.largest
  return jnp.mean(losses), jnp.mean(nearest)


def clip(
  images: jax.Array,
  texts: jax.Array,
  *,
  scale: jax.Array,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """CLIP's loss: `info_nce` of images among texts and of texts among images.

    loss = 1/2 (info_nce(x, y) + info_nce(y, x)),  T = 1 / scale

  At random embeddings the expected loss is about chance(B) at T = 1 / scale,
  see the top of this file. With K texts of each image, all of which are right
  for it, it is about (chance(B) + chance(B K)) / 2, and at least ln K / 2.

  Args:
    images: [b, D] (any norm).
    texts: [b, D] or [b, K, D], same rows (any norm).
    scale: factor of the cosines, float32 scalar.
    chunk: columns of the matrix at a time, see `ops.negatives`; None: all.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Returns:
    The mean loss over the rows at hand and the share of images and texts that
    are nearest to each other; float32 scalars.

  References:
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, 2021, https://arxiv.org/abs/2103.00020, figure 3. The gradient
    is that of the global batch's loss (open_clip's `--local-loss
    --gather-with-grad`; its default divides it by the number of devices).
  """
  # Two matrices, though one is the transpose of the other: a device has its
  # rows of a matrix and not its columns.
  directions = [
    info_nce(a, b, temperature=1 / scale, chunk=chunk, axis_name=axis_name)
    for a, b in ((images, texts), (texts, images))
  ]
  (loss1, top1), (loss2, top2) = directions
  return (loss1 + loss2) / 2, (top1 + top2) / 2


def sigmoid(
  images: jax.Array,
  texts: jax.Array,
  *,
  scale: jax.Array,
  bias: jax.Array,
  chunk: int | None = None,
  axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
  """SigLIP's loss: is this text that image's, asked for every pair.

    loss = -1/B sum_ij log sigmoid(z_ij (scale x_i . y_j + bias))

  for unit vectors x and y; z is 1 for i = j, otherwise -1. With K texts of
  each image it is the mean of the K losses with one text of each: all K are
  that image's, and a pair's share does not depend on how many there are.

  Args:
    images: [b, D] (any norm).
    texts: [b, D] or [b, K, D], same rows (any norm).
    scale: factor of the cosines, float32 scalar.
    bias: added to the logits, float32 scalar.
    chunk: columns of the matrix at a time, see `ops.negatives`; None: all.
    axis_name: mapped device axis; the negatives are then those of all devices.

  Returns:
    The sum over all texts, mean over the images at hand, and the share of
    images that are nearest to a text of their own; float32 scalars.

  References:
    Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023,
    https://arxiv.org/abs/2303.15343, equation 1 as in its pseudocode (the
    displayed equation has the sign of the logits reversed).
  """
  chex.assert_rank(images, 2)
  x, y = _each(scale * l2_normalize(images)), _each(l2_normalize(texts))
  positive = _own_products(x, y) + bias  # [b, K]
  rows = collectives.row_ids(len(x), axis_name)
  others = negatives.softplus(
    _flat(x),
    _flat(y),
    bias,
    rows,
    jnp.repeat(rows, y.shape[1]),
    chunk=chunk,
    axis_name=axis_name,
  )
  losses = jax.nn.softplus(-positive).sum(1) + others.total
  # Strictly: a text that is as near as the image's own makes it a miss.
  nearest = positive.max(1) > others.largest
  return jnp.mean(losses) / y.shape[1], jnp.mean(nearest)


def _each(x: jax.Array) -> jax.Array:
  """Returns [b, n, D] of n embeddings a row, [b, n, D] or [b, D] of one."""
  chex.assert_rank(x, {2, 3})
  return x[:, None] if x.ndim == 2 else x


def _flat(x: jax.Array) -> jax.Array:
  """Returns [b n, D] of [b, n, D]."""
  return x.reshape(-1, x.shape[-1])


def _own_products(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns the products inside of each row, [b n, m].

  Args:
    x: [b, n, D].
    y: [b, m, D].
  """
  chex.assert_equal_shape([x[:, 0], y[:, 0]])
  # A sum, which no accelerator rounds as it does a matrix product.
  products = jnp.sum(x[:, :, None] * y[:, None], axis=-1)
  return products.reshape(-1, y.shape[1])


def _with_siblings(total: jax.Array, positive: jax.Array) -> jax.Array:
  """Returns log sum exp of the negatives and the other positives, [n, K].

  Args:
    total: that of the negatives [n].
    positive: logits of the positives [n, K].
  """
  count = positive.shape[1]
  if count == 1:
    return total[:, None]
  logits = jnp.broadcast_to(positive[:, None], (len(positive), count, count))
  siblings = jax.nn.logsumexp(
    logits, axis=2, where=~jnp.eye(count, dtype=bool)[None]
  )
  return jnp.logaddexp(
    jnp.broadcast_to(total[:, None], siblings.shape), siblings
  )


def _cross_entropy(
  positive: jax.Array,
  others: negatives.Negatives,
  *,
  decoupled: bool = False,
) -> tuple[jax.Array, jax.Array]:
  """Returns the mean loss and the share of rows nearest to their positive."""
  # -log(e^p / e^N): the positive is not in the denominator.
  losses = others.total - positive
  if not decoupled:
    # -log(e^p / (e^p + e^N)) without a power of e that could overflow.
    losses = jax.nn.softplus(losses)
  return jnp.mean(losses), jnp.mean(positive > others.largest)


def queue_nce(
  queries: jax.Array, keys: jax.Array, queue: jax.Array, *, temperature: float
) -> tuple[jax.Array, jax.Array]:
  """Classifies each query's own key among itself and the keys of a queue.

    loss = 1/b sum_i -log( exp(q_i . k_i / T)
                           / (exp(q_i . k_i / T) + sum_j exp(q_i . n_j / T)) )

  for unit vectors q, k and n. At random embeddings the expected loss is about
  chance(K + 1), see the top of this file.

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
  # One matrix, without blocks: its columns, the queue, do not grow with the
  # batch.
  logits = jnp.concatenate([positive, q @ queue.T], axis=1) / temperature
  # -log softmax of column 0.
  losses = jax.nn.logsumexp(logits, axis=1) - logits[:, 0]
  return jnp.mean(losses), jnp.mean(jnp.argmax(logits, axis=1) == 0)
