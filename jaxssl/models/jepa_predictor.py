"""The predictor of I-JEPA."""

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


class JEPAPredictor(nn.Module):
  """A narrow transformer from tokens of the context to those of a block.

  `proj(norm(blocks([embed(context) + positions, mask tokens + positions])))`
  of the places that are asked for, with the fixed positions `sincos_mae`. Each
  block is predicted for itself: its queries do not see those of another.

  Source: `VisionTransformerPredictor` in src/models/vision_transformer.py of
  facebookresearch/ijepa.

  Attributes:
    dim: d, width of a token, divisible by 4 and by `num_heads`.
    depth: number of blocks.
    num_heads: attention heads.
    mlp_ratio: width of the MLPs over `dim`.
    dtype: type of the computation; the prediction is float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  dim: int = 384
  depth: int = 12
  num_heads: int = 12
  mlp_ratio: float = 4.0
  dtype: Dtype = jnp.float32
  remat: Remat = False

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    context: jax.Array,
    present: jax.Array,
    targets: jax.Array,
    counted: jax.Array,
    *,
    grid: tuple[int, int],
  ) -> jax.Array:
    """Predicts the tokens of target blocks, see `ops.multi_block.MultiBlock`.

    Args:
      tokens: [b, K, D], of the context.
      context: int32 [b, K], their places.
      present: bool [b, K], which of them there are.
      targets: int32 [b, M, T], places to predict.
      counted: bool [T], which of them there are.
      grid: (rows, columns) of the patches.

    Returns:
      float32 [b, M, T, D].
    """
    (b, num_context, out_dim), (_, m, length) = tokens.shape, targets.shape
    table = jnp.asarray(positions.sincos_mae(*grid, self.dim), self.dtype)
    table = jnp.broadcast_to(table[None], (b, *table.shape))
    x = dense(self.dim, self.dtype, 'embed')(tokens)
    x = x + take_tokens(table, context)
    init = nn.initializers.normal(0.02)
    token = self.param('mask_token', init, (1, 1, self.dim), jnp.float32)
    # The same token everywhere: a query is its place. Spread before it is
    # rounded, as below: gradients of copies are then added in float32.
    queries = take_tokens(table, targets.reshape(b, m * length))
    token = jnp.broadcast_to(token, queries.shape).astype(self.dtype)
    queries = queries + token
    copies = jnp.repeat(x.astype(jnp.float32), m, axis=0)
    x = jnp.concatenate(
      [
        # Blocks as rows, each with a copy of the context.
        copies.astype(self.dtype),
        queries.reshape(b * m, length, self.dim),
      ],
      axis=1,
    )
    seen = jnp.concatenate(
      [
        jnp.repeat(present, m, axis=0),
        jnp.broadcast_to(counted[None], (b * m, length)),
      ],
      axis=1,
    )
    block_class = remat.block(Block, self.remat)
    for i in range(self.depth):
      x = block_class(
        num_heads=self.num_heads,
        mlp_ratio=self.mlp_ratio,
        layer_scale=None,
        drop_rate=0.0,
        dtype=self.dtype,
        name=f'blocks_{i}',
      )(x, None, None, seen[:, None, None, :])
    # What stands at the context's places is not asked for.
    x = LayerNorm(dtype=self.dtype, name='norm')(x[:, num_context:])
    x = dense(out_dim, self.dtype, 'proj')(x).astype(jnp.float32)
    return x.reshape(b, m, length, out_dim)
