"""What the class token of a vision transformer looks at."""

from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models import rope
from jaxssl.models.vit import ViT

PyTree = Any
_BIAS = ('rel_pos_bias',)


def class_attention(
  encoder: ViT, variables: PyTree, images: jax.Array
) -> jax.Array:
  """Computes the attention of the class token in the last block.

  softmax(q k^T / sqrt(d) + bias) for q of the class token, as the block itself
  computes it; keys of patches are rotated where the encoder has rotary
  positions.

  Source: Caron et al. 2021 (arXiv 2104.14294), figure 1.

  Args:
    encoder: a transformer with a class token.
    variables: variables from `encoder.init`.
    images: [b, H, W, 3], normalised.

  Returns:
    float32 [b, heads, P + N], of P prefix tokens (class token, registers)
    before the N patches; each row sums to 1.

  Raises:
    jaxssl.errors.UserError: if the encoder has no class token.
  """
  if not encoder.class_token:
    raise errors.UserError('this ViT has no class token (class_token=False)')
  # Recomputed blocks would hand out their intermediates twice.
  encoder = encoder.clone(remat=False)
  qkv_path = (f'blocks_{encoder.depth - 1}', 'attn', 'qkv')

  def wanted(module: nn.Module, method: str) -> bool:
    return method == '__call__' and module.path in (qkv_path, _BIAS)

  # Any, because Flax types it as a result with or without collections.
  found: Any = encoder.apply(
    variables,
    images,
    capture_intermediates=wanted,
    mutable=['intermediates'],
  )
  _, captured = found
  (qkv,) = _at(captured['intermediates'], qkv_path)['__call__']
  b, n, width = qkv.shape
  heads = encoder.num_heads
  qkv = qkv.astype(jnp.float32).reshape(b, n, 3, heads, width // (3 * heads))
  # Tokens before the patches are not rotated, so neither is q.
  q, k = qkv[:, 0, 0], qkv[:, :, 1]
  if encoder.position == 'rope':
    places = jnp.asarray(rope.coordinates(encoder.grid_of(images)))
    turn = rope.rotation(places, head_dim=k.shape[-1], base=encoder.rope_base)
    k = rope.rotate(k, turn)
  logits = jnp.einsum('bhd,bnhd->bhn', q, k) * q.shape[-1] ** -0.5
  if encoder.position == 'relative':
    (bias,) = _at(captured['intermediates'], _BIAS)['__call__']
    logits = logits + jnp.broadcast_to(bias[:, :, 0], logits.shape)
  return jax.nn.softmax(logits)


def _at(tree: PyTree, path: Sequence[str]) -> PyTree:
  for name in path:
    tree = tree[name]
  return tree
