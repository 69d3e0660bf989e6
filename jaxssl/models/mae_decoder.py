"""The decoder of MAE."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models import positions, remat
from jaxssl.models.block import Block
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import dense
from jaxssl.models.remat import Remat
from jaxssl.ops.tokens import take_tokens


class MAEDecoder(nn.Module):
  """A narrow transformer from visible tokens to the pixels of all patches.

  `pred(norm(blocks(unshuffle([embed(tokens), mask tokens]) + positions)))`,
  with the fixed positions `sincos_mae`; tokens before the patches (the class
  token) go through the blocks too, without positions, and are then dropped.

  Source: He et al. 2021 (arXiv 2111.06377), `forward_decoder` in models_mae.py
  of facebookresearch/mae.

  Attributes:
    patch_size: p, side of a patch in pixels.
    channels: C of the images.
    dim: width of a token, divisible by 4 and by `num_heads`.
    depth: number of blocks.
    num_heads: attention heads.
    mlp_ratio: width of the MLPs over `dim`.
    dtype: type of the computation; the prediction is float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  patch_size: int
  channels: int = 3
  dim: int = 512
  depth: int = 8
  num_heads: int = 16
  mlp_ratio: float = 4.0
  dtype: Dtype = jnp.float32
  remat: Remat = False

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    restore: jax.Array,
    *,
    grid: tuple[int, int],
    num_visible: int,
  ) -> jax.Array:
    """Predicts the pixels of every patch.

    Args:
      tokens: [b, P + K, D], P prefix tokens before the K visible patches.
      restore: int32 [b, N], see `ops.masking.RandomMask`.
      grid: (rows, columns) of the N patches.
      num_visible: K.

    Returns:
      float32 [b, N, p p C], in the order of `ops.patches.patchify`.
    """
    count = tokens.shape[1] - num_visible
    x = dense(self.dim, self.dtype, 'embed')(tokens)
    patches = self._unshuffle(x[:, count:], restore)
    table = positions.sincos_mae(*grid, self.dim)
    # Behind the mask tokens, which know their place from nothing else.
    patches = patches + jnp.asarray(table, self.dtype)[None]
    x = jnp.concatenate([x[:, :count], patches], axis=1)
    block_class = remat.block(Block, self.remat)
    for i in range(self.depth):
      x = block_class(
        num_heads=self.num_heads,
        mlp_ratio=self.mlp_ratio,
        layer_scale=None,
        drop_rate=0.0,
        dtype=self.dtype,
        name=f'blocks_{i}',
      )(x, None)
    # The authors predict for the class token too, and drop that.
    x = LayerNorm(dtype=self.dtype, name='norm')(x[:, count:])
    pred = dense(self.channels * self.patch_size**2, self.dtype, 'pred')
    return pred(x).astype(jnp.float32)

  def _unshuffle(self, visible: jax.Array, restore: jax.Array) -> jax.Array:
    """Returns all patches [b, N, dim] in order, mask tokens where hidden."""
    b, num_visible, dim = visible.shape
    init = nn.initializers.normal(0.02)
    token = self.param('mask_token', init, (1, 1, dim), jnp.float32)
    hidden = (b, restore.shape[1] - num_visible, dim)
    masks = jnp.broadcast_to(token, hidden).astype(visible.dtype)
    x = jnp.concatenate([visible, masks], axis=1)
    return take_tokens(x, restore)
