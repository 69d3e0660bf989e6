"""ConvNeXt, versions 1 and 2."""

from typing import Any

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.fields import Count, DropRate, check_fields
from jaxssl.models import dense, remat
from jaxssl.models.convnext_block import INIT, ConvNeXtBlock
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.remat import Remat
from jaxssl.ops.patches import patchify

_STAGES = 4


class PatchConv(nn.Module):
  """Convolution whose stride is its size, with bias, as a matrix product.

  Rows and columns that patches do not divide are left out, as PyTorch does.

  Attributes:
    features: output channels.
    size: p, side of the kernel, and the stride.
    dtype: type of the computation; the parameters `kernel` [p, p, in, out] and
      `bias` are float32.
  """

  features: int
  size: int
  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, H, W, in] to [b, H // p, W // p, out]."""
    p, channels = self.size, x.shape[-1]
    shape = (p, p, channels, self.features)
    kernel = self.param('kernel', INIT, shape, jnp.float32)
    zeros = nn.initializers.zeros
    bias = self.param('bias', zeros, (self.features,), jnp.float32)
    rows, columns = x.shape[1] // p, x.shape[2] // p
    # Inside a patch row, column, channel, as the kernel has them.
    x = patchify(x[:, : rows * p, : columns * p].astype(self.dtype), p)
    x = x @ kernel.reshape(-1, self.features).astype(self.dtype)
    return dense.add(x, bias).reshape(-1, rows, columns, self.features)


class ConvNeXtStage(nn.Module):
  """Blocks of one width, behind a norm and a 2x2 convolution of stride 2.

  Attributes:
    width: C, channels of the blocks.
    halve: halve the map first; the first stage does not.
    rates: drop-path rate of each block.
    grn: see `ConvNeXtBlock`, as the following.
    layer_scale: value that LayerScale starts from, or None.
    epsilon: ε of the LayerNorms.
    dtype: type of the computation.
    remat: what each block computes again in the backward pass.
  """

  width: int
  halve: bool
  rates: tuple[float, ...]
  grn: bool
  layer_scale: float | None
  epsilon: float
  dtype: Dtype
  remat: Remat

  @nn.compact
  def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
    """Maps [b, H, W, C'] to [b, H / 2, W / 2, C], or [b, H, W, C].

    Args:
      x: activations.
      keys: typed PRNG keys [b] of this stage, or None to drop nothing.
    """
    if self.halve:
      x = LayerNorm(self.epsilon, self.dtype, name='downsample_0')(x)
      x = PatchConv(self.width, 2, self.dtype, name='downsample_1')(x)
    block_class = remat.block(ConvNeXtBlock, self.remat)
    for i, rate in enumerate(self.rates):
      x = block_class(
        grn=self.grn,
        layer_scale=self.layer_scale,
        drop_rate=rate,
        epsilon=self.epsilon,
        dtype=self.dtype,
        name=f'blocks_{i}',
      )(x, fold_keys(keys, i))
    return x


class ConvNeXt(nn.Module):
  """ConvNeXt (arXiv 2201.03545) and ConvNeXt V2 (arXiv 2301.00808), as timm's.

  Equal to timm's `ConvNeXt` at the same weights; parameter names follow its
  (`stages.1.blocks.0.conv_dw.weight` is `stages_1/blocks_0/conv_dw/kernel`).
  GELU is exact. The features are normalised after the mean over positions, as
  timm and the authors do.

  Attributes:
    blocks: blocks of each of the four stages.
    width: channels of the first stage; each of the others doubles them.
    grn: have global response normalisation (version 2).
    layer_scale: value that LayerScale starts from, or None for no LayerScale
      (version 2).
    drop_path: drop-path rate of the last block; it grows linearly from 0.
    stem_size: side of the patches that the stem cuts images into; the authors'
      4 leaves one position of 32 pixels, 1 has eight on a side.
    epsilon: ε of the LayerNorms.
    dtype: type of the computation; parameters and features are float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  blocks: tuple[int, int, int, int] = (3, 3, 9, 3)
  width: Count = 96
  grn: bool = False
  layer_scale: float | None = 1e-6
  drop_path: DropRate = 0.0
  stem_size: Count = 4
  epsilon: float = 1e-6
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for a value that does not fit."""
    check_fields(self)
    if len(self.blocks) != _STAGES or min(self.blocks) < 1:
      raise errors.UserError(
        'ConvNeXt needs the blocks of 4 stages, each at least 1, not '
        f'{self.blocks}'
      )
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    train: bool = False,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Encodes images.

    Args:
      images: [b, H, W, 3], normalised; H and W at least 8 `stem_size`.
      train: drop paths.
      axis_name: unused (nothing looks at other rows); part of every encoder's
        signature.
      keys: typed PRNG keys [b], needed for drop path in training only.

    Returns:
      Features float32 [b, 8 `width`], and every intermediate: 'stem',
      'stage1'..'stage4' [b, h, w, C] in `dtype`, 'pre_logits' (the features).

    Raises:
      UserError: images that are too small; drop path in training without
        `keys`.
    """
    del axis_name
    self._check_size(images)
    if train and keys is None and self.drop_path > 0:
      raise errors.UserError('drop_path > 0 in training needs `keys`')
    # Without keys nothing is dropped, and nothing is drawn.
    keys = keys if train and self.drop_path > 0 else None
    out = {}
    x = PatchConv(self.width, self.stem_size, self.dtype, name='stem_0')(images)
    x = out['stem'] = LayerNorm(self.epsilon, self.dtype, name='stem_1')(x)
    rates = self._rates()
    for i in range(_STAGES):
      x = out[f'stage{i + 1}'] = ConvNeXtStage(
        width=self.width * 2**i,
        halve=i > 0,
        rates=rates[i],
        grn=self.grn,
        layer_scale=self.layer_scale,
        epsilon=self.epsilon,
        dtype=self.dtype,
        remat=self.remat,
        name=f'stages_{i}',
      )(x, fold_keys(keys, i))
    # A sum over all positions, so in float32.
    features = x.astype(jnp.float32).mean((1, 2))
    features = out['pre_logits'] = Head(self.epsilon, name='head')(features)
    return features, out

  @nn.nowrap
  def _rates(self) -> list[tuple[float, ...]]:
    """Returns the drop-path rates of the blocks of each stage."""
    rates = np.linspace(0.0, self.drop_path, sum(self.blocks))
    ends = np.cumsum(self.blocks)[:-1]
    return [tuple(map(float, part)) for part in np.split(rates, ends)]

  @nn.nowrap
  def _check_size(self, images: jax.Array) -> None:
    _, height, width, _ = images.shape
    least = self.stem_size * 2 ** (_STAGES - 1)
    if min(height, width) < least:
      raise errors.UserError(
        f'images of {height}x{width} pixels are too small for ConvNeXt with '
        f'encoder.stem_size={self.stem_size}: it halves maps of patches three '
        f'times, and needs {least} pixels'
      )


class Head(nn.Module):
  """The norm of the features; this level gives timm's name `head.norm`.

  Attributes:
    epsilon: ε of the LayerNorm.
  """

  epsilon: float

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, D] to [b, D]."""
    return LayerNorm(self.epsilon, name='norm')(x)
