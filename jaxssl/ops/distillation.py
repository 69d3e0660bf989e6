"""Cross entropy between what several views of a picture say."""

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
