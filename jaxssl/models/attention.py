"""Multi-head attention with timm's fused projections."""

from collections.abc import Callable
import functools

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import MLP, Deviations, dense
from jaxssl.models.rope import Rotation, rotate

# JAX differentiates cuDNN's kernels for even numbers of tokens. A bias or mask
# has rows of as many numbers, which then start every 16 bytes.
_EVEN = 2
_ALIGNED = 8


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

  What is compiled for an NVIDIA GPU, wherever that happens, runs cuDNN's fused
  kernels if `fits_cudnn`; they round `bias` to the type of `q`.

  Args:
    q: [b, T, heads, d].
    k: [b, S, heads, d].
    v: [b, S, heads, d].
    bias: float32 [1, heads, T, S], or None for none.
    mask: bool [b, 1, 1, S], False for keys that no query sees, or
      [b, 1, T, S], for keys that this one does not see; or None.
    causal: position t sees no key after t.

  Returns:
    [b, T, heads * d].
  """
  plain = functools.partial(jax.nn.dot_product_attention, is_causal=causal)
  if fits_cudnn(q) and has_cudnn():
    kernel = functools.partial(plain, implementation='cudnn')
    # Both are traced; the step is lowered with the one of its platform.
    fused = functools.partial(in_groups, kernel)
    out = jax.lax.platform_dependent(
      q, k, v, bias, mask, cuda=fused, default=plain
    )
  else:
    out = plain(q, k, v, bias, mask)
  return out.reshape(*out.shape[:2], -1)


def fits_cudnn(q: jax.Array) -> bool:
  """Returns whether cuDNN has a fused kernel for these queries.

  It takes half precision and head widths that are multiples of 8 up to 128
  (Ampere's limit). A single query has nothing to fuse.

  Args:
    q: [b, T, heads, d].
  """
  _, length, _, width = q.shape
  half = q.dtype in (jnp.bfloat16, jnp.float16)
  return half and length > 1 and width % 8 == 0 and width <= 128


# It does not change while a process lives.
@functools.cache
def has_cudnn() -> bool:
  """Returns whether JAX can trace cuDNN's attention here.

  It asks for cuDNN's version, so both cuDNN and JAX's CUDA plugin must be
  installed, as they are wherever JAX runs on an NVIDIA GPU. A GPU is not
  needed.
  """
  x = jax.ShapeDtypeStruct((1, _EVEN, 1, 8), jnp.bfloat16)
  trace = functools.partial(
    jax.nn.dot_product_attention, implementation='cudnn'
  )
  try:
    jax.eval_shape(trace, x, x, x)
  # What JAX raises where cuDNN or its plugin is missing.
  except RuntimeError:
    return False
  return True


def in_groups(
  kernel: Callable[..., jax.Array],
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  bias: jax.Array | None = None,
  mask: jax.Array | None = None,
) -> jax.Array:
  """Calls an attention kernel with even numbers of tokens.

  `jax.nn.dot_product_attention` refuses to differentiate cuDNN's attention for
  odd numbers, such as the 197 of a class token and 14 x 14 patches. With a bias
  or a mask the numbers are multiples of 8. The kernel is told how many tokens
  are real; what it returns for others is dropped, and so are their gradients.

  Args:
    kernel: called as `jax.nn.dot_product_attention`.
    q: [b, T, heads, d].
    k: [b, S, heads, d].
    v: [b, S, heads, d].
    bias: [1, heads, T, S], or None.
    mask: bool [b, 1, 1, S] or [b, 1, T, S], or None.

  Returns:
    [b, T, heads, d].
  """
  (b, queries), keys = q.shape[:2], k.shape[1]
  group = _EVEN if bias is None and mask is None else _ALIGNED
  fill = functools.partial(_fill, group=group)
  if bias is not None:
    bias = fill(fill(bias.astype(q.dtype), axis=2), axis=3)
  if mask is not None:
    mask = jnp.broadcast_to(mask, (b, 1, queries, keys))
    mask = fill(fill(mask, axis=2), axis=3)
  lengths = {}
  # Equal for all rows: under `jit` each GPU gets those of the first rows.
  if queries % group or keys % group:
    lengths = {
      'query_seq_lengths': jnp.full(b, queries, jnp.int32),
      'key_value_seq_lengths': jnp.full(b, keys, jnp.int32),
    }
  q, k, v = (fill(x, axis=1) for x in (q, k, v))
  return kernel(q, k, v, bias, mask, **lengths)[:, :queries]


def _fill(x: jax.Array, *, axis: int, group: int) -> jax.Array:
  """Appends zeros up to whole groups."""
  missing = [(0, 0)] * x.ndim
  missing[axis] = (0, -x.shape[axis] % group)
  return jnp.pad(x, missing)


class SelfAttention(nn.Module):
  """Multi-head self-attention (arXiv 1706.03762), query, key, value fused.

  Attributes:
    num_heads: heads; must divide the width of the tokens.
    dtype: type of the computation.
    causal: no token sees those after it.
    deviations: what the kernels start from.
    key_bias: keys have a bias, which only rotated keys can make use of.
  """

  num_heads: int
  dtype: Dtype = jnp.float32
  causal: bool = False
  deviations: Deviations = Deviations()
  key_bias: bool = True

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    turn: Rotation | None = None,
  ) -> jax.Array:
    """Maps tokens [b, N, D] to [b, N, D].

    Args:
      x: tokens.
      bias: [1, heads, N, N], added to the attention logits, or None.
      mask: bool [b, 1, 1, N] or [b, 1, N, N], see `attend`, or None.
      turn: rotary positions of the last tokens, or None.
    """
    b, n, dim = x.shape
    std = self.deviations
    # One product instead of three, and the layout of timm's weights.
    qkv = dense(3 * dim, self.dtype, 'qkv', std=std.qkv)(
      x, self._bias_mask(dim)
    )
    qkv = qkv.reshape(b, n, 3, self.num_heads, dim // self.num_heads)
    q, k, v = jax.lax.platform_dependent(
      qkv, cpu=_split, default=lambda x: (x[:, :, 0], x[:, :, 1], x[:, :, 2])
    )
    if turn is not None:
      q, k = rotate(q, turn), rotate(k, turn)
    x = attend(q, k, v, bias, mask=mask, causal=self.causal)
    return dense(dim, self.dtype, 'proj', std=std.proj)(x)

  def _bias_mask(self, dim: int) -> np.ndarray | None:
    """Returns what keeps the bias of keys at zero, [3 D]."""
    if self.key_bias:
      return None
    # A factor and no shorter bias: [3 D] is the shape of the weights. A zero
    # factor lets no gradient through, so keys stay without.
    return np.repeat(np.array([1, 0, 1], np.float32), dim)


def _split(qkv: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Takes [b, N, 3, heads, d] apart; the gradient is one array.

  That of indexing is a sum of three arrays, mostly zeros, which a CPU writes.
  """
  q, k, v = jax.lax.split(qkv, (1, 1, 1), axis=2)
  return q[:, :, 0], k[:, :, 0], v[:, :, 0]


class AttentionPool(nn.Module):
  """Attention pooling by one learned query, MAP (arXiv 2106.04560).

  `y = proj(attend(q(latent), k(x), v(x)))`, then `y + mlp(norm(y))`; laid out
  as timm's `AttentionPoolLatent`.

  Attributes:
    num_heads: heads; must divide the width of the tokens.
    mlp_ratio: width of the MLP over the width of the tokens.
    dtype: type of the computation.
    act: activation of the MLP, a key of `mlp.ACTIVATIONS`.
    epsilon: ε of the LayerNorm.
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
