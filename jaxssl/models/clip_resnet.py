"""CLIP's modified ResNet: a deep stem, blurred strides, attention pooling."""

import math
from typing import Any

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, check_fields
from jaxssl.models import positions, remat
from jaxssl.models.attention import attend
from jaxssl.models.conv import Conv
from jaxssl.models.dense import Dense, add
from jaxssl.models.norm import BatchNorm
from jaxssl.models.remat import Remat


class Bottleneck(nn.Module):
  """`relu(shortcut(x) + branch(x))` whose strides are average pooling.

  The branch is 1x1, 3x3 and, after a mean over `stride` x `stride` pixels, 1x1
  to four times the channels; the shortcut is such a mean and a 1x1
  convolution, or x. The last BatchNorm scale starts at zero.

  Attributes:
    planes: channels inside the branch.
    stride: side of the windows that are averaged.
    dtype: type of the computation.
  """

  planes: int
  stride: int
  dtype: Dtype

  @nn.compact
  def __call__(
    self, x: jax.Array, train: bool, axis_name: str | None
  ) -> jax.Array:
    """Maps [b, H, W, C] to [b, H / stride, W / stride, 4 planes]."""
    out = 4 * self.planes
    shortcut = x
    if self.stride > 1 or x.shape[-1] != out:
      shortcut = mean_pool(shortcut, self.stride)
      shortcut = Conv(out, 1, dtype=self.dtype, name='downsample_0')(shortcut)
      shortcut = BatchNorm(dtype=self.dtype, name='downsample_1')(
        shortcut, train=train, axis_name=axis_name
      )
    layers = ((self.planes, 1), (self.planes, 3), (out, 1))
    for i, (features, kernel_size) in enumerate(layers, start=1):
      last = i == len(layers)
      # The stride: a mean, where taking every other pixel would alias.
      x = mean_pool(x, self.stride) if last else x
      x = Conv(features, kernel_size, dtype=self.dtype, name=f'conv{i}')(x)
      x = BatchNorm(
        scale_init=nn.initializers.zeros if last else nn.initializers.ones,
        dtype=self.dtype,
        name=f'bn{i}',
      )(x, train=train, axis_name=axis_name)
      x = x if last else nn.relu(x)
    return nn.relu(x + shortcut)


class AttentionPool2D(nn.Module):
  """Attention pooling whose one query is the mean of all pixels.

  Tokens are the mean and the pixels, plus learned positions; the attended
  mean goes through a Dense layer to `out_dim`. Kernels start from
  normal(C^-0.5), positions from normal(C^-0.5).

  Attributes:
    num_heads: attention heads; must divide the channels C.
    out_dim: K, width of the result.
    dtype: type of the computation.
  """

  num_heads: int
  out_dim: int
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Pools a map [b, H, W, C] to [b, K].

    Raises:
      UserError: at initialisation, a map that is no square.
    """
    b, rows, columns, dim = x.shape
    x = x.reshape(b, rows * columns, dim)
    # A sum over all pixels, so in float32.
    mean = x.astype(jnp.float32).mean(1, keepdims=True).astype(x.dtype)
    x = jnp.concatenate([mean, x], axis=1)
    table = self._positions((rows, columns), dim)
    x = add(x, table)
    heads = (self.num_heads, dim // self.num_heads)
    q = self._dense(dim, 'q_proj')(x[:, :1]).reshape(b, 1, *heads)
    k = self._dense(dim, 'k_proj')(x).reshape(b, -1, *heads)
    v = self._dense(dim, 'v_proj')(x).reshape(b, -1, *heads)
    return self._dense(self.out_dim, 'c_proj')(attend(q, k, v)[:, 0])

  def _positions(self, grid: tuple[int, int], dim: int) -> jax.Array:
    """Returns positions [1, 1 + N, C], interpolated from the stored grid."""
    if self.is_initializing() and grid[0] != grid[1]:
      raise errors.UserError(
        f'attention pooling of a map of {grid[0]}x{grid[1]}: images must be '
        'square at initialisation'
      )
    if self.is_initializing():
      init = nn.initializers.normal(dim**-0.5)
      shape = (1, 1 + grid[0] * grid[1], dim)
      return self.param('pos_embed', init, shape, jnp.float32)
    # Not `param`, which would refuse a table of another grid than the map's.
    table = self.get_variable('params', 'pos_embed')[0]
    side = math.isqrt(len(table) - 1)
    pixels = positions.interpolate(table[1:], (side, side), grid)
    return jnp.concatenate([table[:1], pixels])[None]

  def _dense(self, features: int, name: str) -> Dense:
    return Dense(
      features,
      self.dtype,
      nn.initializers.variance_scaling(1.0, 'fan_in', 'normal'),
      name=name,
    )


class CLIPResNet(nn.Module):
  """CLIP's modified ResNet (arXiv 2103.00020, section 2.4).

  Differs from a ResNet in the stem of three 3x3 convolutions and a mean over
  2x2 pixels, in strides by averaging, and in attention pooling. Equal to timm's
  `resnet50_clip` at the same weights; parameter names follow openai/CLIP
  (`attnpool.q_proj.weight` is `attnpool/q_proj/kernel`).

  The pooling ends in the projection to the joint space, so such a tower needs
  no projection behind it (`project_images=False` of the methods).

  Deviation: convolutions start from Kaiming's normal, as in `models.ResNet`;
  the authors leave PyTorch's default.

  Attributes:
    blocks: residual blocks of each of the four stages.
    width: channels of the stem; the last stage has 32 times as many.
    out_dim: K, width of the features.
    dtype: type of the computation; parameters and statistics are float32.
    remat: what each residual block computes again in the backward pass: False,
      True ('full') or 'dots', see `models.remat`.
  """

  blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
  width: Count = 64
  out_dim: int = 1024
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for a width whose last stage has no whole heads."""
    check_fields(self)
    if self.width % 2 or len(self.blocks) != 4:
      raise errors.UserError(
        'CLIPResNet needs an even width and the blocks of 4 stages, got width '
        f'{self.width} and blocks {self.blocks}'
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
      images: [b, H, W, 3], normalised; H and W divisible by 32.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
      keys: unused (no stochastic layers); part of every encoder's signature.

    Returns:
      Features float32 [b, K], and every intermediate: 'stem',
      'stage1'..'stage4' [b, h, w, C] in `dtype`, 'pre_logits' (the features).

    Raises:
      UserError: an image size that 32 does not divide.
    """
    del keys
    if images.shape[1] % 32 or images.shape[2] % 32:
      raise errors.UserError(
        f'images of {images.shape[1]}x{images.shape[2]} pixels: the sides must '
        "be divisible by 32 for CLIP's ResNet"
      )
    out = {}
    x = out['stem'] = self._stem(images, train, axis_name)
    block_class = remat.block(Bottleneck, self.remat, static_argnums=(2, 3))
    for stage, count in enumerate(self.blocks):
      for i in range(count):
        x = block_class(
          planes=self.width * 2**stage,
          stride=2 if stage > 0 and i == 0 else 1,
          dtype=self.dtype,
          name=f'layer{stage + 1}_{i}',
        )(x, train, axis_name)
      out[f'stage{stage + 1}'] = x
    pool = AttentionPool2D(
      self._num_heads(), self.out_dim, self.dtype, name='attnpool'
    )
    out['pre_logits'] = pool(x).astype(jnp.float32)
    return out['pre_logits'], out

  def _stem(
    self, images: jax.Array, train: bool, axis_name: str | None
  ) -> jax.Array:
    x = images
    channels = (self.width // 2, self.width // 2, self.width)
    for i, features in enumerate(channels, start=1):
      stride = 2 if i == 1 else 1
      x = Conv(features, 3, stride, dtype=self.dtype, name=f'conv{i}')(x)
      x = BatchNorm(dtype=self.dtype, name=f'bn{i}')(
        x, train=train, axis_name=axis_name
      )
      x = nn.relu(x)
    return mean_pool(x, 2)

  @nn.nowrap
  def _num_heads(self) -> int:
    # Heads of 64 channels, as the authors'.
    return max(self.width * 32 // 64, 1)


def mean_pool(x: jax.Array, window: int) -> jax.Array:
  """Averages windows of `window` x `window` pixels of [b, H, W, C].

  A remainder of rows and columns is left out, as in PyTorch's AvgPool2d.
  """
  if window == 1:
    return x
  b, height, width, channels = x.shape
  rows, columns = height // window, width // window
  x = x[:, : rows * window, : columns * window]
  # Windows do not overlap, so no windowed reduction is needed.
  x = x.reshape(b, rows, window, columns, window, channels)
  return x.astype(jnp.float32).mean((2, 4)).astype(x.dtype)
