"""Cross-entropy of labels."""

import jax
import optax


def label_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns `-log softmax(logits)[label]`.

  As `optax.softmax_cross_entropy_with_integer_labels`, whose gradient is a
  scatter: on a GPU it adds atomically, in any order.

  Args:
    logits: [..., K].
    labels: int [...], at least 0 and below K.

  Returns:
    [...], in the type of `logits`.
  """
  hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
  return optax.softmax_cross_entropy(logits, hot)
