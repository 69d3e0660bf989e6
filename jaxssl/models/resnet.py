"""Residual networks, version 1.5."""

from typing import Any, Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Positive, check_fields
from jaxssl.models import remat
from jaxssl.models.conv import Conv, PointwiseKernel
from jaxssl.models.norm import BatchNorm
from jaxssl.models.remat import Remat
from jaxssl.ops.computed_once import computed_once
from jaxssl.ops.pooling import max_pool

# depth -> (residual branch, blocks of each stage).
DEPTHS = {
  18: ('basic', (2, 2, 2, 2)),
  34: ('basic', (3, 4, 6, 3)),
  50: ('bottleneck', (3, 4, 6, 3)),
  101: ('bottleneck', (3, 4, 23, 3)),
  152: ('bottleneck', (3, 8, 36, 3)),
}


class ResidualBlock(nn.Module):
  """`relu(shortcut(x) + branch(x))`; the shortcut is a 1x1 convolution or x.

  Attributes:
    branch: 'basic' (3x3, 3x3) or 'bottleneck' (1x1, 3x3, 1x1).
    planes: channels inside the branch; it ends with `planes` ('basic') or
      `4 * planes` ('bottleneck').
    stride: stride of the first 3x3 convolution (version 1.5) and of the
      shortcut.
    zero_init_residual: start the branch's last BatchNorm scale at zero.
    bn_groups: groups of rows that BatchNorm treats on their own.
    dtype: type of the computation.
  """

  branch: str
  planes: int
  stride: int
  zero_init_residual: bool
  bn_groups: int
  dtype: Dtype

  @nn.compact
  def __call__(
    self, x: jax.Array, train: bool, axis_name: str | None
  ) -> jax.Array:
    """Maps [b, H, W, C] to [b, H / stride, W / stride, C']."""
    # Positional arguments, because rematerialisation has only static positions.
    layers = self._layers()
    out = layers[-1][0]
    x = computed_once(x)
    shortcut = x
    if self.stride != 1 or x.shape[-1] != out:
      kernel = PointwiseKernel(out, name='downsample_0')(x.shape[-1])
      taken = computed_once(x.astype(self.dtype))
      shortcut = BatchNorm(
        num_groups=self.bn_groups, dtype=self.dtype, name='downsample_1'
      )(
        taken[:, :: self.stride, :: self.stride],
        train=train,
        axis_name=axis_name,
        kernel=kernel,
      )
    for i, (features, kernel_size, stride) in enumerate(layers, start=1):
      last = i == len(layers)
      kernel = None
      # A product that is wider than what it is made of.
      if kernel_size == 1 and features > x.shape[-1]:
        kernel = PointwiseKernel(features, name=f'conv{i}')(x.shape[-1])
        x = computed_once(x.astype(self.dtype))
      else:
        x = Conv(
          features, kernel_size, stride, dtype=self.dtype, name=f'conv{i}'
        )(x)
      x = BatchNorm(
        scale_init=self._scale_init(last),
        num_groups=self.bn_groups,
        relu=True,
        dtype=self.dtype,
        name=f'bn{i}',
      )(
        x,
        train=train,
        axis_name=axis_name,
        shortcut=shortcut if last else None,
        kernel=kernel,
      )
    return x

  def _layers(self) -> list[tuple[int, int, int]]:
    """Returns (features, kernel size, stride) of each convolution."""
    p, s = self.planes, self.stride
    if self.branch == 'basic':
      return [(p, 3, s), (p, 3, 1)]
    return [(p, 1, 1), (p, 3, s), (4 * p, 1, 1)]

  def _scale_init(self, last: bool) -> nn.initializers.Initializer:
    zero = last and self.zero_init_residual
    return nn.initializers.zeros if zero else nn.initializers.ones


class ResNet(nn.Module):
  """ResNet-18/34/50/101/152 (He et al., arXiv 1512.03385), version 1.5.

  Equal to torchvision's and timm's at the same weights; parameter names follow
  theirs (`layer1.0.conv1.weight` is `layer1_0/conv1/kernel`).

  Attributes:
    depth: 18, 34, 50, 101 or 152.
    stem: 'imagenet' (7x7 stride 2, 3x3 max-pool stride 2) or 'cifar' (3x3
      stride 1, no max-pool; SimCLR appendix B.9).
    width: multiplies every channel count (SimCLR's meaning: 2 is "ResNet-50
      (2x)", with twice the features).
    zero_init_residual: start the last BatchNorm scale of every residual branch
      at zero, as SimCLR's and BYOL's code.
    bn_groups: groups of neighbouring rows of the global batch that BatchNorm
      treats on their own; 1 is synchronised BatchNorm, 8 repeats 8 devices
      without it (MoCo v1 and v2).
    dtype: type of the computation; parameters and statistics are float32.
    remat: what each residual block computes again in the backward pass: False,
      True ('full') or 'dots', see `models.remat`.
  """

  depth: Literal[18, 34, 50, 101, 152] = 50
  stem: Literal['imagenet', 'cifar'] = 'imagenet'
  width: Positive = 1.0
  zero_init_residual: bool = False
  bn_groups: Count = 1
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for a depth, stem or width that does not exist."""
    check_fields(self)
    if self._planes(0) < 1:
      raise errors.UserError(
        f'width {self.width} leaves no channels; it must be at least 1/64'
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
      images: [b, H, W, 3], normalised.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
      keys: unused (no stochastic layers); part of every encoder's signature.

    Returns:
      Features float32 [b, D] (D = 512 or 2048 times `width`), and every
      intermediate: 'stem', 'stage1'..'stage4' [b, h, w, C] in `dtype`,
      'pre_logits' (the features).
    """
    del keys
    out = {}
    x = out['stem'] = self._stem(images, train, axis_name)
    branch, blocks = DEPTHS[self.depth]
    # `train` and `axis_name`, behind the module and x.
    block_class = remat.block(ResidualBlock, self.remat, static_argnums=(2, 3))
    for stage, count in enumerate(blocks):
      for i in range(count):
        x = block_class(
          branch=branch,
          planes=self._planes(stage),
          stride=2 if stage > 0 and i == 0 else 1,
          zero_init_residual=self.zero_init_residual,
          bn_groups=self.bn_groups,
          dtype=self.dtype,
          name=f'layer{stage + 1}_{i}',
        )(x, train, axis_name)
      out[f'stage{stage + 1}'] = x
    # A sum over all positions, so in float32.
    features = out['pre_logits'] = x.astype(jnp.float32).mean((1, 2))
    return features, out

  @nn.nowrap
  def _planes(self, stage: int) -> int:
    return int(64 * 2**stage * self.width)

  def _stem(
    self, images: jax.Array, train: bool, axis_name: str | None
  ) -> jax.Array:
    big = self.stem == 'imagenet'
    x = Conv(
      self._planes(0),
      kernel_size=7 if big else 3,
      stride=2 if big else 1,
      dtype=self.dtype,
      name='conv1',
    )(images)
    x = BatchNorm(
      num_groups=self.bn_groups, relu=True, dtype=self.dtype, name='bn1'
    )(x, train=train, axis_name=axis_name)
    return max_pool(x) if big else x
