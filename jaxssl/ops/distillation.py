"""Cross entropy between what two networks say of a picture."""

import jax
import jax.numpy as jnp


def distillation(
  targets: jax.Array, logits: jax.Array, *, temperature: float
) -> jax.Array:
  """Cross entropy of all pairs of a target and another view's logits.

    1 / (G (V - 1)) sum_i sum_{v != i} mean_b
      -sum_k targets[i, b, k] log softmax(logits[v, b] / T)[k]

  Computed as targets_i . (sum_v log softmax_v - log softmax_i), so that no
  array has more than V rows per image. This is the loss of DINO (arXiv
  2104.14294, equation 3) and of SwAV (arXiv 2006.09882, equation 6).

  Args:
    targets: [G, b, K], probabilities of the first G views.
    logits: [V, b, K], V >= max(G, 2).
    temperature: T > 0.

  Returns:
    A float32 scalar; ln K where the logits are all equal.
  """
  log_probs = jax.nn.log_softmax(logits / temperature)
  # [G, b, K]: for each target the sum over all other views.
  others = log_probs.sum(0, keepdims=True) - log_probs[: len(targets)]
  pairs = len(targets) * (len(logits) - 1)
  return -jnp.sum(targets * others) / (pairs * logits.shape[1])


def cross_entropy(
  targets: jax.Array, logits: jax.Array, *, temperature: float
) -> jax.Array:
  """Returns -sum_k targets[k] log softmax(logits / T)[k], float32 [...].

  Args:
    targets: [..., K], probabilities.
    logits: [..., K]; the leading axes broadcast.
    temperature: T > 0.
  """
  log_probs = jax.nn.log_softmax(logits / temperature)
  return -jnp.sum(targets * log_probs, axis=-1)


def masked_distillation(
  targets: jax.Array,
  logits: jax.Array,
  hidden: jax.Array,
  *,
  temperature: float,
) -> jax.Array:
  """Cross entropy of hidden patches, pictures having equal weight.

    mean_b 1 / max(sum_m hidden[b, m], 1) sum_m hidden[b, m]
      -sum_k targets[b, m, k] log softmax(logits[b, m] / T)[k]

  A picture without hidden patches counts as 0, so the mean falls with the share
  of pictures that are masked. This is the patch loss of iBOT (arXiv 2111.07832,
  equation 2, as `iBOTLoss` in main_ibot.py of bytedance/ibot weighs it) and of
  DINOv2.

  Args:
    targets: [..., M, K], probabilities.
    logits: [..., M, K].
    hidden: float32 [..., M], 1 for a hidden patch and 0 for another.
    temperature: T > 0.

  Returns:
    A float32 scalar, the mean over all leading axes.
  """
  entropies = hidden * cross_entropy(targets, logits, temperature=temperature)
  count = jnp.maximum(hidden.sum(-1), 1.0)
  return jnp.mean(entropies.sum(-1) / count)


def entropy(probabilities: jax.Array) -> jax.Array:
  """Returns the entropy of distributions [..., K] in nats, [...]."""
  return jax.scipy.special.entr(probabilities).sum(-1)
