"""The block of a transformer whose tokens look at those of another."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models.attention import attend
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import MLP, Deviations, dense


class CrossAttention(nn.Module):
  """Multi-head attention of tokens to other tokens, key and value fused.

  Attributes:
    num_heads: heads; must divide the width of the tokens.
    dtype: type of the computation.
    deviations: what the kernels start from.
  """

  num_heads: int
  dtype: Dtype = jnp.float32
  deviations: Deviations = Deviations()

  @nn.compact
  def __call__(self, x: jax.Array, others: jax.Array) -> jax.Array:
    """Maps tokens [b, T, D] to [b, T, D].

    Args:
      x: tokens, which ask.
      others: [b, S, D'], which are looked at.
    """
    b, count, dim = x.shape
    std, heads = self.deviations, (self.num_heads, dim // self.num_heads)
    q = dense(dim, self.dtype, 'q', std=std.qkv)(x)
    kv = dense(2 * dim, self.dtype, 'kv', std=std.qkv)(others)
    kv = kv.reshape(b, others.shape[1], 2, *heads)
    x = attend(q.reshape(b, count, *heads), kv[:, :, 0], kv[:, :, 1])
    return dense(dim, self.dtype, 'proj', std=std.proj)(x)


class CrossBlock(nn.Module):
  """`x += attention(norm(x), norm'(others)); x += mlp(norm''(x))`.

  Attributes:
    num_heads: attention heads.
    mlp_ratio: width of the MLP over the width of the tokens.
    dtype: type of the computation.
    act: activation of the MLP, a key of `mlp.ACTIVATIONS`.
    epsilon: ε of the LayerNorms.
    deviations: what the kernels start from.
  """

  num_heads: int
  mlp_ratio: float
  dtype: Dtype
  act: str = 'gelu'
  epsilon: float = 1e-6
  deviations: Deviations = Deviations()

  @nn.compact
  def __call__(self, x: jax.Array, others: jax.Array) -> jax.Array:
    """Maps tokens [b, T, D], and others [b, S, D'], to [b, T, D]."""
    std = self.deviations
    attention = CrossAttention(self.num_heads, self.dtype, std, name='attn')
    x = x + attention(self._norm('norm1')(x), self._norm('norm_kv')(others))
    hidden_dim = int(x.shape[-1] * self.mlp_ratio)
    mlp = MLP(hidden_dim, self.dtype, self.act, std, name='mlp')
    return x + mlp(self._norm('norm2')(x))

  def _norm(self, name: str) -> LayerNorm:
    return LayerNorm(self.epsilon, self.dtype, name=name)
