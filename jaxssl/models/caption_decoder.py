"""The decoder that writes a caption while it looks at the image."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models import remat
from jaxssl.models.block import Block
from jaxssl.models.cross_block import CrossBlock
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import Deviations
from jaxssl.models.remat import Remat


class CaptionDecoder(nn.Module):
  """From tokens of a text and of an image to the next words.

  `depth` times, a block of the text alone and one whose tokens look at those of
  the image; then a norm and logits of the vocabulary. Equal to open_clip's
  `MultimodalTransformer` at the same weights. Kernels start from the deviations
  of `TextEncoder`, those that open_clip gives its towers.

  Attributes:
    vocab_size: V, number of token ids.
    depth: pairs of blocks.
    num_heads: attention heads; must divide the width of the text's tokens.
    mlp_ratio: width of the MLPs over the width of the tokens.
    two_mlps: give both blocks of a pair an MLP, as CoCa does; otherwise that of
      the text has none, and a pair is the layer of the first transformer.
    act: activation of the MLPs, a key of `mlp.ACTIVATIONS`.
    epsilon: ε of the LayerNorms.
    dtype: type of the computation; parameters and logits are float32.
    remat: what each block computes again in the backward pass, see
      `models.remat`.

  References:
    Yu et al., CoCa: Contrastive Captioners are Image-Text Foundation Models,
    2022, https://arxiv.org/abs/2205.01917, section 3.2; coca_model.py and
    transformer.py of https://github.com/mlfoundations/open_clip.
  """

  vocab_size: int
  depth: int
  num_heads: int
  mlp_ratio: float = 4.0
  two_mlps: bool = True
  act: str = 'gelu'
  epsilon: float = 1e-5
  dtype: Dtype = jnp.float32
  remat: Remat = False

  @nn.compact
  def __call__(
    self,
    text: jax.Array,
    image: jax.Array,
    causal: bool = True,
    mask: jax.Array | None = None,
  ) -> jax.Array:
    """Returns logits float32 [b, T, V] of the token that comes next.

    Args:
      text: tokens [b, T, D].
      image: tokens [b, N, D'].
      causal: no token of the text sees those after it.
      mask: bool [b, 1, T, T], False for tokens of the text that another does
        not see, or None.
    """
    dim = text.shape[-1]
    wide, last = dim**-0.5, (2 * self.depth) ** -0.5
    std = Deviations(
      qkv=wide, proj=wide * last, fc1=wide * 2**-0.5, fc2=wide * last
    )
    shared = {
      'num_heads': self.num_heads,
      'dtype': self.dtype,
      'act': self.act,
      'epsilon': self.epsilon,
      'deviations': std,
    }
    x, image = text.astype(self.dtype), image.astype(self.dtype)
    own = remat.block(Block, self.remat)
    cross = remat.block(CrossBlock, self.remat)
    for i in range(self.depth):
      x = own(
        **shared,
        mlp_ratio=self.mlp_ratio if self.two_mlps else 0.0,
        layer_scale=None,
        drop_rate=0.0,
        causal=causal,
        name=f'blocks_{i}',
      )(x, None, None, mask)
      x = cross(**shared, mlp_ratio=self.mlp_ratio, name=f'cross_{i}')(x, image)
    x = LayerNorm(self.epsilon, self.dtype, name='norm')(x)
    logits = nn.Dense(
      self.vocab_size,
      use_bias=False,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(wide),
      name='head',
    )(x)
    return logits.astype(jnp.float32)
