"""Multi-head attention with timm's fused projections."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import MLP, Deviations, dense


def implementation(
  q: jax.Array, backend: str, *, has_bias: bool = False
) -> str | None:
  """Returns which kernel `jax.nn.dot_product_attention` should run.

  cuDNN's fused attention takes half precision and head widths that are
  multiples of 8 up to 128 (Ampere's limit). JAX never chooses it by itself.
  A learned bias or a mask goes through XLA: cuDNN turns a mask into a bias, and
  restricts the gradient of a bias.

  Args:
    q: queries [b, T, heads, d].
    backend: `jax.default_backend()`.
    has_bias: whether there is a bias or a mask (a causal one is no matter).

  Returns:
    'cudnn', or None for XLA.
  """
  _, length, _, width = q.shape
  fits = (
    backend == 'gpu'
    and q.dtype in (jnp.bfloat16, jnp.float16)
    and width % 8 == 0
    and width <= 128
    and length > 1  # one query has nothing to fuse
    and not has_bias
  )
  return 'cudnn' if fits else None


def attend(
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  bias: jax.Array | None = None,
  *,
  mask: jax.Array | None = None,
  causal: bool = False,
) -> jax.Array:
  """Computes `softmax(q k^T / sqrt(d) + bias) v`, softmax in float32.

  Args:
    q: [b, T, heads, d].
    k: [b, S, heads, d].
    v: [b, S, heads, d].
    bias: float32 [1, heads, T, S], or None for none.
    mask: bool [b, 1, 1, S], False for keys that no query sees, or None.
    causal: position t sees no key after t.

  Returns:
    [b, T, heads * d].
  """
  has_bias = bias is not None or mask is not None
  kernel = implementation(q, jax.default_backend(), has_bias=has_bias)
  out = jax.nn.dot_product_attention(
    q, k, v, bias, mask, is_causal=causal, implementation=kernel
  )
  return out.reshape(*out.shape[:2], -1)


class SelfAttention(nn.Module):
  """Multi-head self-attention (arXiv 1706.03762), query, key, value fused.

  Attributes:
    num_heads: heads; must divide the width of the tokens.
    dtype: type of the computation.
    causal: no token sees those after it.
    deviations: what the kernels start from.
  """

  num_heads: int
  dtype: Dtype = jnp.float32
  causal: bool = False
  deviations: Deviations = Deviations()

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
  ) -> jax.Array:
    """Maps tokens [b, N, D] to [b, N, D].

    Args:
      x: tokens.
      bias: [1, heads, N, N], added to the attention logits, or None.
      mask: bool [b, 1, 1, N], False for tokens that none sees, or None.
    """
    b, n, dim = x.shape
    std = self.deviations
    qkv = dense(3 * dim, self.dtype, 'qkv', std=std.qkv)(x)
    qkv = qkv.reshape(b, n, 3, self.num_heads, dim // self.num_heads)
    q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
    x = attend(q, k, v, bias, mask=mask, causal=self.causal)
    return dense(dim, self.dtype, 'proj', std=std.proj)(x)


class AttentionPool(nn.Module):
  """Attention pooling by one learned query, MAP (arXiv 2106.04560).

  `y = proj(attend(q(latent), k(x), v(x)))`, then `y + mlp(norm(y))`; laid out
  as timm's `AttentionPoolLatent`.

  Attributes:
    num_heads: heads; must divide the width of the tokens.
    mlp_ratio: width of the MLP over the width of the tokens.
    dtype: type of the computation.
    act: of the MLP, key of `mlp.ACTIVATIONS`.
    epsilon: of the LayerNorm.
  """

  num_heads: int
  mlp_ratio: float = 4.0
  dtype: Dtype = jnp.float32
  act: str = 'gelu'
  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Pools tokens [b, N, D] to [b, D]."""
    b, n, dim = x.shape
    init = nn.initializers.truncated_normal(dim**-0.5)
    latent = self.param('latent', init, (1, 1, dim), jnp.float32)
    heads = (self.num_heads, dim // self.num_heads)
    q = dense(dim, self.dtype, 'q')(jnp.broadcast_to(latent, (b, 1, dim)))
    kv = dense(2 * dim, self.dtype, 'kv')(x).reshape(b, n, 2, *heads)
    pooled = attend(q.reshape(b, 1, *heads), kv[:, :, 0], kv[:, :, 1])
    y = dense(dim, self.dtype, 'proj')(pooled)
    normed = LayerNorm(self.epsilon, self.dtype, name='norm')(y)
    hidden_dim = int(dim * self.mlp_ratio)
    mlp = MLP(hidden_dim, self.dtype, self.act, name='mlp')
    return (y + mlp(normed))[:, 0]
