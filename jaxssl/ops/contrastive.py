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
