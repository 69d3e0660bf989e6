"""How well a caption is predicted, token by token."""

import jax
import jax.numpy as jnp

from jaxssl.ops.cross_entropy import label_entropy


def end_of(text: jax.Array, eot_id: int | None) -> jax.Array:
  """Returns the place of the end-of-text token, int32 [b].

  Args:
    text: token ids int32 [b, L].
    eot_id: its id, whose first occurrence counts; None: the largest id of the
      text.
  """
  return jnp.argmax(text if eot_id is None else text == eot_id, axis=1)


def caption_entropy(
  logits: jax.Array, text: jax.Array, eot_id: int | None, first: int = 1
) -> tuple[jax.Array, jax.Array]:
  """Returns what each text costs, and how many tokens that are.

  What stands behind the end-of-text token is padding and counts nothing.

  Args:
    logits: float32 [b, L - first, V] of the tokens from place `first` on.
    text: token ids int32 [b, L].
    eot_id: see `end_of`.
    first: where the tokens begin that are predicted; a start token is not.

  Returns:
    The sum over the tokens of -log softmax(logits)[token], and their number;
    float32 [b] each.
  """
  places = jnp.arange(first, text.shape[1])
  counts = (places[None] <= end_of(text, eot_id)[:, None]).astype(jnp.float32)
  losses = label_entropy(logits, text[:, first:])
  return jnp.sum(counts * losses, axis=1), jnp.sum(counts, axis=1)
