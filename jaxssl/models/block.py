"""The block of a transformer: attention and an MLP."""

from collections.abc import Callable
import functools

from flax import linen as nn
from flax.typing import Dtype
import jax

from jaxssl.models.attention import SelfAttention
from jaxssl.models.drop_path import drop_path, fold_keys
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.layer_scale import LayerScale
from jaxssl.models.mlp import MLP, Deviations
from jaxssl.models.rope import Rotation


class Block(nn.Module):
  """`x += attention(norm(x)); x += mlp(norm(x))`, pre-norm.

  With `post_norm`, `x = norm(x + attention(x)); x = norm(x + mlp(x))`, as in
  arXiv 1706.03762 and BERT.

  Attributes:
    num_heads: attention heads.
    mlp_ratio: width of the MLP over the width of the tokens; 0 for none.
    layer_scale: value that LayerScale starts from, or None for no LayerScale.
    drop_rate: probability to drop a residual branch of a row.
    dtype: type of the computation.
    act: activation of the MLP, a key of `mlp.ACTIVATIONS`.
    epsilon: ε of the LayerNorms.
    causal: no token sees those after it.
    post_norm: normalise sums instead of what the branches see.
    deviations: what the kernels start from.
    key_bias: keys have a bias.
  """

  num_heads: int
  mlp_ratio: float
  layer_scale: float | None
  drop_rate: float
  dtype: Dtype
  act: str = 'gelu'
  epsilon: float = 1e-6
  causal: bool = False
  post_norm: bool = False
  deviations: Deviations = Deviations()
  key_bias: bool = True

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    keys: jax.Array | None,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    turn: Rotation | None = None,
  ) -> jax.Array:
    """Maps tokens [b, N, D] to [b, N, D].

    Args:
      x: tokens.
      keys: typed PRNG keys [b] of this block, or None to drop nothing.
      bias: [1, heads, N, N], added to the attention logits, or None.
      mask: bool [b, 1, 1, N] or [b, 1, N, N], see `attend`, or None.
      turn: rotary positions of the last tokens, or None.
    """
    hidden_dim = int(x.shape[-1] * self.mlp_ratio)
    attention = SelfAttention(
      self.num_heads,
      self.dtype,
      self.causal,
      self.deviations,
      self.key_bias,
      name='attn',
    )
    branches: list[Callable[[jax.Array], jax.Array]] = [
      functools.partial(attention, bias=bias, mask=mask, turn=turn)
    ]
    if hidden_dim:
      mlp = MLP(hidden_dim, self.dtype, self.act, self.deviations, name='mlp')
      branches.append(mlp)
    for i, branch in enumerate(branches, start=1):
      # Of the branch's input, or with `post_norm` of the sum: same name.
      norm = LayerNorm(self.epsilon, self.dtype, name=f'norm{i}')
      y = branch(x if self.post_norm else norm(x))
      if self.layer_scale is not None:
        y = LayerScale(self.layer_scale, name=f'ls{i}')(y)
      if keys is not None and self.drop_rate > 0:
        # Attention and MLP are dropped each for itself, as in timm.
        y = drop_path(fold_keys(keys, i), y, rate=self.drop_rate)
      x = norm(x + y) if self.post_norm else x + y
    return x
