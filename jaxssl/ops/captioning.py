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
  logits: jax.Array, text: jax.Array, eot_id: int | None
) -> tuple[jax.Array, jax.Array]:
  """Returns what each text costs, and how many tokens that are.

  Logits at place t are those of the token at t + 1, so the first token is never
  predicted. What stands behind the end-of-text token is padding and counts
  nothing.

  Args:
    logits: float32 [b, L - 1, V].
    text: token ids int32 [b, L].
    eot_id: see `end_of`.

  Returns:
    The sum over the tokens of -log softmax(logits)[token], and their number;
    float32 [b] each.
  """
  places = jnp.arange(1, text.shape[1])
  counts = (places[None] <= end_of(text, eot_id)[:, None]).astype(jnp.float32)
  losses = label_entropy(logits, text[:, 1:])
  return jnp.sum(counts * losses, axis=1), jnp.sum(counts, axis=1)
