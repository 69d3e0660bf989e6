"""The decoder that writes a caption from its image alone."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models.caption_decoder import CaptionDecoder
from jaxssl.models.remat import Remat
from jaxssl.ops.word_table import look_up


class CaptionWriter(nn.Module):
  """From the tokens of an image to those of its caption, all of them.

  It has words of its own, and no part of a text tower. A text is predicted in
  one of two ways: each token from those before it, where a begin token stands
  before the first; or all at once, where a mask token stands in every place and
  all see each other, so that only the image and the place tell them apart. Such
  places lie behind the end of the text too, which would else tell its length.

  The layers are those of a standard decoder (`CaptionDecoder` with one MLP a
  pair), with a norm on the tokens of the image. Words start from a normal of
  deviation 0.02, positions 0.01, as those of `TextEncoder`.

  Attributes:
    vocab_size: V, number of token ids.
    length: number of positions; texts may be shorter.
    dim: width of a token.
    depth: number of layers.
    num_heads: attention heads; must divide `dim`.
    mlp_ratio: width of the MLPs over `dim`.
    act: activation of the MLPs, a key of `mlp.ACTIVATIONS`.
    epsilon: ε of the LayerNorms.
    dtype: type of the computation; parameters and logits are float32.
    remat: what each block computes again in the backward pass, see
      `models.remat`.

  References:
    Tschannen et al., Image Captioners Are Scalable Vision Learners Too, 2023,
    https://arxiv.org/abs/2306.07915 (CapPa); models/proj/cappa/cappa.py of
    https://github.com/google-research/big_vision.

  Differs from the authors' code: biases in all layers, and one begin token
  where theirs is id 0; their words start from a normal of deviation 1, and
  their logits from 0.
  """

  vocab_size: int
  length: int
  dim: int
  depth: int
  num_heads: int
  mlp_ratio: float = 4.0
  act: str = 'gelu'
  epsilon: float = 1e-6
  dtype: Dtype = jnp.float32
  remat: Remat = False

  @nn.compact
  def __call__(
    self, text: jax.Array, image: jax.Array, parallel: jax.Array
  ) -> jax.Array:
    """Returns logits float32 [b, L, V] of the tokens of a text.

    Args:
      text: token ids int32 [b, L], L at most `length`.
      image: tokens [b, N, D'].
      parallel: bool [b], whether a text is predicted all at once.
    """
    count = text.shape[1]
    begin, mask = self.vocab_size, self.vocab_size + 1
    before = jnp.pad(text[:, :-1], ((0, 0), (1, 0)), constant_values=begin)
    ids = jnp.where(parallel[:, None], mask, before)
    # A mask of every text, as both kinds go through the layers together.
    past = jnp.tril(jnp.ones((count, count), bool))
    seen = past[None, None] | parallel[:, None, None, None]
    decoder = CaptionDecoder(
      vocab_size=self.vocab_size,
      depth=self.depth,
      num_heads=self.num_heads,
      mlp_ratio=self.mlp_ratio,
      two_mlps=False,
      act=self.act,
      epsilon=self.epsilon,
      dtype=self.dtype,
      remat=self.remat,
      name='decoder',
    )
    return decoder(self._embed(ids), image, causal=False, mask=seen)

  def _embed(self, ids: jax.Array) -> jax.Array:
    table = self.param(
      'tok_embed',
      nn.initializers.normal(0.02),
      # Begin and mask behind the words.
      (self.vocab_size + 2, self.dim),
      jnp.float32,
    )
    positions = self.param(
      'pos_embed',
      nn.initializers.normal(0.01),
      (1, self.length, self.dim),
      jnp.float32,
    )[:, : ids.shape[1]]
    tokens = look_up(table, ids, self.dtype)
    # In float32 until both are added: the gradient of the positions is a sum
    # over rows.
    tokens = tokens + jnp.broadcast_to(positions, tokens.shape)
    return tokens.astype(self.dtype)
