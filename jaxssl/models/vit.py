"""Vision transformers."""

import math
from typing import Annotated, Any, Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.fields import (
  Count,
  DropRate,
  Natural,
  NonNegative,
  Positive,
  Range,
  check_fields,
)
from jaxssl.models import dense, positions, remat, rope
from jaxssl.models.attention import AttentionPool
from jaxssl.models.block import Block
from jaxssl.models.conv_stem import ConvStem
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.patch_embed import PatchEmbed
from jaxssl.models.relative_position import RelativePositionBias
from jaxssl.models.remat import Remat
from jaxssl.ops.row_major import row_major
from jaxssl.ops.tokens import take_tokens

# By how much something may be stretched or shrunk.
_Factor = Annotated[float, Range(1)]


class ViT(nn.Module):
  """Vision transformer (Dosovitskiy et al., arXiv 2010.11929), as timm's.

  Equal to timm's `VisionTransformer` at the same weights; parameter names
  follow its (`blocks.3.attn.qkv.weight` is `blocks_3/attn/qkv/kernel`).
  LayerNorm epsilon is 1e-6 and GELU exact, as in MAE, MoCo v3, DINO and BEiT;
  CLIP's (`norm_pre`, no `patch_bias`, 'quick_gelu', 1e-5) is 'clip_vit_b16' of
  `models.variants`, SigLIP's has `pool='map'`, no class token and 'gelu_tanh'.

  Attributes:
    patch_size: side of a patch in pixels.
    dim: D, width of a token.
    depth: number of blocks.
    num_heads: attention heads; must divide `dim`.
    mlp_ratio: width of the MLPs over `dim`.
    stem: 'patch' (a linear projection of patches) or 'conv' (`ConvStem`, with
      BatchNorm, of MoCo v3's `vit_conv_small`).
    pool: what becomes the features: 'cls' (the class token after the final
      norm), 'avg' (mean of the patch tokens) or 'map' (attention pooling of
      the normed patch tokens).
    fc_norm: put the final norm after the mean instead of before it, as timm
      does for 'avg'. None: for 'avg' only.
    class_token: have a class token.
    num_registers: register tokens (arXiv 2309.16588), between the class token
      and the patches.
    position: 'learned', a fixed table of `models.positions`, 'relative'
      (BEiT's bias on the attention logits, shared by all blocks), 'rope'
      (DINOv3's rotation of queries and keys, `models.rope`), or 'none'.
    prefix_positions: with 'learned', class token and registers have a position
      too (timm's `no_embed_class=False`).
    grid: (rows, columns) of patches that learned or relative positions are
      stored for; other sizes interpolate them. None: the images at
      initialisation, square. Images of just this grid may have pixels left
      over, which no patch sees: of 384 pixels, SigLIP's so400m sees 27 x 14.
    antialias: widen the bicubic filter that makes learned positions of another
      grid smaller, as timm does, and DINOv2 with registers. False: as most
      models of transformers, among them ViT and DINOv2 without registers.
    rope_base: with 'rope', how fast the periods of the angles grow.
    rope_shift: with 'rope', largest shift of the coordinates in training; they
      lie in [-1, 1]. None: no shift.
    rope_jitter: with 'rope', largest factor by which each axis is stretched or
      shrunk in training. None: none.
    rope_rescale: with 'rope', largest factor for both axes together. None:
      none; DINOv3 has 2.
    key_bias: let keys have a bias; False keeps it at 0, as DINOv3 does.
    layer_scale: value that LayerScale starts from, or None for no LayerScale.
    drop_path: drop-path rate of the last block; it grows linearly from 0.
    drop_path_uniform: give all blocks that rate, as DINOv2 does.
    use_mask_token: have the learned token that `mask` puts in.
    norm_pre: normalise tokens with their positions before the first block.
    act: activation of the MLPs; 'swiglu' has a gate (DINOv2's giant), and then
      the MLPs have 3 matrices of `mlp_ratio` D units.
    epsilon: ε of the LayerNorms.
    patch_bias: have a bias in the projection of patches.
    dtype: type of the computation; parameters and features are float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  patch_size: Count = 16
  dim: Count = 384
  depth: Count = 12
  num_heads: Count = 6
  mlp_ratio: Positive = 4.0
  stem: Literal['patch', 'conv'] = 'patch'
  pool: Literal['cls', 'avg', 'map'] = 'cls'
  fc_norm: bool | None = None
  class_token: bool = True
  num_registers: Natural = 0
  position: Literal[
    'learned',
    'sincos_mae',
    'sincos_moco',
    'sincos_bigvision',
    'relative',
    'rope',
    'none',
  ] = 'learned'
  prefix_positions: bool = True
  grid: tuple[int, int] | None = None
  antialias: bool = True
  rope_base: Positive = 100.0
  rope_shift: NonNegative | None = None
  rope_jitter: _Factor | None = None
  rope_rescale: _Factor | None = None
  key_bias: bool = True
  layer_scale: float | None = None
  drop_path: DropRate = 0.0
  drop_path_uniform: bool = False
  use_mask_token: bool = False
  norm_pre: bool = False
  act: Literal['gelu', 'gelu_tanh', 'quick_gelu', 'swiglu'] = 'gelu'
  epsilon: float = 1e-6
  patch_bias: bool = True
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    _check(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    train: bool = False,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
    *,
    keep: jax.Array | None = None,
    present: jax.Array | None = None,
    mask: jax.Array | None = None,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Encodes images.

    Args:
      images: [b, H, W, 3], normalised; H and W divisible by `patch_size`, but
        for images of `grid`.
      train: drop paths; use batch statistics in the stem 'conv'.
      axis_name: mapped device axis, or None in the global view; for that stem.
      keys: typed PRNG keys [b], needed for drop path and the noise of rotary
        positions, in training only.
      keep: int32 [b, K]; encode only these patches, in this order. They keep
        the position of their place in the image.
      present: bool [b, K], with `keep`; no token sees patches where it is
        False, so that rows can keep fewer than K.
      mask: bool [b, N]; True puts the mask token in place of the patch's
        embedding, before positions are added.

    Returns:
      Features float32 [b, D], and every intermediate, in `dtype`: 'patch_embed'
      [b, N, D] before positions; 'block00', 'block01', ... [b, P + K, D] with
      the P prefix tokens first; 'encoded', the same after the final norm (with
      `fc_norm` that norm comes after pooling and this is the last block);
      'patches' [b, K, D] and 'cls' [b, D], parts of 'encoded'; 'pre_logits'
      (the features).

    Raises:
      UserError: an image size that patches do not divide; `mask` without
        `use_mask_token`; drop path in training without `keys`; `keep` with
        relative positions.
    """
    grid = self.grid_of(images)
    noise = rope.Noise(self.rope_shift, self.rope_jitter, self.rope_rescale)
    drops, moves = self.drop_path > 0, any(r is not None for r in noise)
    if train and keys is None and (drops or moves):
      name = 'drop_path > 0' if drops else 'rope_shift, jitter or rescale'
      raise errors.UserError(f'{name} in training needs `keys`')
    # The blocks take 0 to depth - 1.
    noise_keys = fold_keys(keys, self.depth) if train and moves else None
    out = {}
    x = out['patch_embed'] = self._embed(images, train, axis_name)
    x = self._put_mask(x, mask)
    x = self._add_positions(x, grid, keep)
    x = self._norm('norm_pre')(x) if self.norm_pre else x
    bias = self._bias(grid, keep)
    turn = self._turn(grid, keep, noise, noise_keys)
    keys = keys if train and drops else None
    x = self._run_blocks(x, keys, bias, self._seen(present), turn, out)
    if not self.uses_fc_norm():
      x = self._norm('norm')(x)
    # Only training has a gradient of a head.
    x = out['encoded'] = row_major(x) if train else x
    out['patches'] = x[:, self._num_prefix() :]
    if self.class_token:
      out['cls'] = x[:, 0]
    features = out['pre_logits'] = self._pool(out)
    return features, out

  def _embed(
    self, images: jax.Array, train: bool, axis_name: str | None
  ) -> jax.Array:
    """Returns one token [b, N, D] a patch."""
    rows, columns = self.grid_of(images)
    # Pixels left over, which `grid_of` allows for images of `grid` alone.
    images = images[:, : rows * self.patch_size, : columns * self.patch_size]
    shared = (self.patch_size, self.dim, self.dtype)
    if self.stem == 'conv':
      stem = ConvStem(*shared, name='patch_embed')
      return stem(images, train=train, axis_name=axis_name)
    return PatchEmbed(*shared, self.patch_bias, name='patch_embed')(images)

  def _put_mask(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
    # The parameter exists as soon as the module was told, mask or not, so that
    # `init` without a mask makes the same tree.
    if self.use_mask_token:
      token = self._token('mask_token', 1, nn.initializers.normal(0.02))
      if mask is not None:
        tokens = jnp.broadcast_to(token, x.shape).astype(x.dtype)
        x = jnp.where(mask[:, :, None], tokens, x)
    elif mask is not None:
      raise errors.UserError('`mask` needs an encoder with use_mask_token=True')
    return x

  def _add_positions(
    self, x: jax.Array, grid: tuple[int, int], keep: jax.Array | None
  ) -> jax.Array:
    """Returns prefix and (kept) patch tokens with positions, [b, P + K, D]."""
    prefix, table = self._prefix(), self._positions(grid)
    if table is not None:
      count = table.shape[0] - x.shape[1]
      # Before any patch is left out, so that each has that of its place.
      x = dense.add(x, table[None, count:])
      prefix = [prefix[0] + table[None, :count]] if count else prefix
    if keep is not None:
      x = take_tokens(x, keep)
    shape = (x.shape[0], self._num_prefix(), self.dim)
    tokens = [jnp.broadcast_to(p, shape).astype(x.dtype) for p in prefix]
    return jnp.concatenate([*tokens, x], axis=1)

  def _prefix(self) -> list[jax.Array]:
    """Returns [class token and registers, [1, P, D]], or [] without any."""
    # timm's, and the authors' of MoCo v3: nearly zero.
    init = nn.initializers.normal(1e-6)
    tokens = []
    if self.class_token:
      tokens.append(self._token('cls_token', 1, init))
    if self.num_registers:
      tokens.append(self._token('reg_token', self.num_registers, init))
    return [jnp.concatenate(tokens, axis=1)] if tokens else []

  def _positions(self, grid: tuple[int, int]) -> jax.Array | None:
    """Returns positions [N, D], of the prefix too where it has some."""
    if self.position in ('none', 'relative', 'rope'):
      return None
    if self.position != 'learned':
      return jnp.asarray(positions.SINCOS[self.position](*grid, self.dim))
    count = self._num_prefix() if self.prefix_positions else 0
    own = self.grid
    if own is None and self.is_initializing():
      own = _check_square(grid)
    init = nn.initializers.normal(0.02)
    if own is not None:
      size = count + own[0] * own[1]
      table = self.param('pos_embed', init, (1, size, self.dim))[0]
    else:
      # Not `param`, which would refuse a table of another grid than that of
      # these images; without `grid` the stored one is a square.
      table = self.get_variable('params', 'pos_embed')[0]
      side = math.isqrt(len(table) - count)
      own = side, side
    patches = positions.interpolate(
      table[count:], own, grid, antialias=self.antialias
    )
    return jnp.concatenate([table[:count], patches])

  def _bias(
    self, grid: tuple[int, int], keep: jax.Array | None
  ) -> jax.Array | None:
    """Returns the bias of relative positions, [1, heads, 1 + N, 1 + N]."""
    if self.position != 'relative':
      return None
    if keep is not None:
      raise errors.UserError("`keep` does not go with position='relative'")
    own, name = self.grid, 'rel_pos_bias'
    if own is None and self.is_initializing():
      own = _check_square(grid)
    elif own is None:
      stored = self.get_variable('params', name)
      own = _square_of_offsets(stored['relative_position_bias_table'])
    return RelativePositionBias(self.num_heads, own, name=name)(grid)

  def _turn(
    self,
    grid: tuple[int, int],
    keep: jax.Array | None,
    noise: rope.Noise,
    keys: jax.Array | None,
  ) -> rope.Rotation | None:
    """Returns the rotation of (kept) patches; with keys, a moved one."""
    if self.position != 'rope':
      return None
    places = jnp.asarray(rope.coordinates(grid))
    if keys is not None:
      places = rope.moved(places, noise, keys)
    if keep is not None:
      shape = (keep.shape[0], *places.shape[1:])
      # Each row keeps patches of its own.
      places = take_tokens(jnp.broadcast_to(places, shape), keep)
    head_dim = self.dim // self.num_heads
    return rope.rotation(places, head_dim=head_dim, base=self.rope_base)

  def _seen(self, present: jax.Array | None) -> jax.Array | None:
    """Returns which tokens the others see, bool [b, 1, 1, P + K]."""
    if present is None:
      return None
    prefix = ((0, 0), (self._num_prefix(), 0))
    return jnp.pad(present, prefix, constant_values=True)[:, None, None]

  def _run_blocks(
    self,
    x: jax.Array,
    keys: jax.Array | None,
    bias: jax.Array | None,
    seen: jax.Array | None,
    turn: rope.Rotation | None,
    out: dict[str, Any],
  ) -> jax.Array:
    block_class = remat.block(Block, self.remat)
    # Later blocks are dropped more often (arXiv 1603.09382).
    first = self.drop_path if self.drop_path_uniform else 0.0
    rates = np.linspace(first, self.drop_path, self.depth)
    for i in range(self.depth):
      # What nobody reads of `out` the compiler leaves out.
      x = out[f'block{i:02d}'] = block_class(
        num_heads=self.num_heads,
        mlp_ratio=self.mlp_ratio,
        layer_scale=self.layer_scale,
        drop_rate=float(rates[i]),
        dtype=self.dtype,
        act=self.act,
        epsilon=self.epsilon,
        key_bias=self.key_bias,
        name=f'blocks_{i}',
      )(x, fold_keys(keys, i), bias, seen, turn)
    return x

  def _pool(self, out: dict[str, Any]) -> jax.Array:
    """Returns the features, float32 [b, D]."""
    if self.pool == 'map':
      features = AttentionPool(
        self.num_heads,
        self.mlp_ratio,
        self.dtype,
        self.act,
        self.epsilon,
        name='attn_pool',
      )(out['patches'])
    elif self.pool == 'avg':
      # A sum over all patches, so in float32.
      features = out['patches'].astype(jnp.float32).mean(1)
    else:
      features = out['cls']
    if self.uses_fc_norm():
      features = self._norm('fc_norm')(features)
    return features.astype(jnp.float32)

  def _norm(self, name: str) -> LayerNorm:
    return LayerNorm(self.epsilon, self.dtype, name=name)

  def _token(
    self, name: str, count: int, init: nn.initializers.Initializer
  ) -> jax.Array:
    return self.param(name, init, (1, count, self.dim), jnp.float32)

  @nn.nowrap
  def _num_prefix(self) -> int:
    return int(self.class_token) + self.num_registers

  @nn.nowrap
  def uses_fc_norm(self) -> bool:
    """Returns whether the final norm comes after pooling."""
    return self.pool == 'avg' if self.fc_norm is None else self.fc_norm

  @nn.nowrap
  def grid_of(self, images: jax.Array) -> tuple[int, int]:
    """Returns (rows, columns) of the patches of images [b, H, W, 3].

    Raises:
      UserError: an image size that patches do not divide, unless there are as
        many whole ones as `grid` says.
    """
    _, height, width, _ = images.shape
    p = self.patch_size
    found = height // p, width // p
    if (height % p or width % p) and found != self.grid:
      raise errors.UserError(
        f'images of {height}x{width} pixels do not divide into patches of {p}; '
        f'with grid={found} the encoder leaves the rest unseen'
      )
    return found


def _check_square(grid: tuple[int, int]) -> tuple[int, int]:
  # Later calls see how many positions there are, not of which grid.
  if grid[0] != grid[1]:
    raise errors.UserError(
      f'{grid[0]}x{grid[1]} patches at initialisation are no square; give the '
      'encoder grid=(rows, columns)'
    )
  return grid


def _square_of_offsets(table: jax.Array) -> tuple[int, int]:
  # (2 side - 1)² offsets, and three for the class token.
  side = (math.isqrt(table.shape[1] - 3) + 1) // 2
  return side, side


def _check(vit: ViT) -> None:
  check_fields(vit)
  if vit.dim % vit.num_heads:
    raise errors.UserError(
      f'ViT width {vit.dim} is not divisible by num_heads {vit.num_heads}'
    )
  # Two axes, and a pair of channels for each angle.
  if vit.position == 'rope' and vit.dim // vit.num_heads % 4:
    raise errors.UserError(
      f"position='rope' needs heads of a width that 4 divides, not "
      f'{vit.dim // vit.num_heads}'
    )
  if vit.pool == 'cls' and not vit.class_token:
    raise errors.UserError("pool='cls' needs class_token=True")
  has_class_token_alone = vit.class_token and not vit.num_registers
  if vit.position == 'relative' and not has_class_token_alone:
    raise errors.UserError(
      "position='relative' needs class_token=True and num_registers=0"
    )
