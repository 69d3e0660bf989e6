"""The convolutional encoder and decoder of DALL-E's discrete VAE."""

from collections.abc import Sequence
from typing import Annotated, Any

from flax import linen as nn
from flax.typing import Dtype
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Range, check_fields
from jaxssl.models import remat
from jaxssl.models.dense import add
from jaxssl.models.remat import Remat
from jaxssl.ops.convolution import conv2d

STRIDE = 8  # pixels between two codes
_EPSILON = 0.1  # keeps pixels away from 0 and 1, where the logit is infinite
_GROUPS = 4


def map_pixels(images: jax.Array) -> jax.Array:
  """Maps [0, 1] to [0.1, 0.9]: (1 - 2 e) x + e with e = 0.1."""
  return (1 - 2 * _EPSILON) * images + _EPSILON


def unmap_pixels(images: jax.Array) -> jax.Array:
  """The inverse of `map_pixels`, clipped to [0, 1]."""
  return jnp.clip((images - _EPSILON) / (1 - 2 * _EPSILON), 0.0, 1.0)


class BiasedConv(nn.Module):
  """Square convolution with bias; kernel N(0, 1 / fan_in), bias 0.

  Attributes:
    features: output channels.
    kernel_size: odd; padded by half of it.
    dtype: type of the computation; parameters are float32.
  """

  features: int
  kernel_size: int
  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [b, H, W, C] to [b, H, W, features]."""
    k, channels = self.kernel_size, x.shape[-1]
    kernel = self.param(
      'kernel',
      nn.initializers.normal((k * k * channels) ** -0.5),
      (k, k, channels, self.features),
      jnp.float32,
    )
    bias = self.param(
      'bias', nn.initializers.zeros, (self.features,), jnp.float32
    )
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    if k == 1:
      return add(x @ kernel[0, 0], bias)
    x = checkpoint_name(conv2d(x, kernel), remat.CONVOLUTION)
    return add(x, bias)


class ResidualBlock(nn.Module):
  """`id_path(x) + gain * four times (ReLU, convolution)`, a bottleneck of 1/4.

  Attributes:
    features: output channels.
    kernel_sizes: kernel sizes of the four convolutions.
    gain: small, so that a deep stack starts near the identity.
    dtype: type of the computation.
  """

  features: int
  kernel_sizes: tuple[int, int, int, int]
  gain: float
  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, H, W, C] to [b, H, W, features]."""
    skip = x
    if x.shape[-1] != self.features:
      skip = BiasedConv(self.features, 1, self.dtype, name='id_path')(x)
    hidden = self.features // 4
    widths = (hidden, hidden, hidden, self.features)
    for i, (width, size) in enumerate(
      zip(widths, self.kernel_sizes, strict=True), start=1
    ):
      x = BiasedConv(width, size, self.dtype, name=f'conv_{i}')(nn.relu(x))
    return skip + self.gain * x


class DVAEEncoder(nn.Module):
  """Images to logits over codes, one vector for each 8x8 pixels.

  Four groups of residual blocks of 1, 2, 4, 8 times `width` channels, each but
  the last followed by 2x2 max-pooling; then ReLU and a 1x1 convolution.

  Source: Ramesh et al. 2021 (arXiv 2102.12092), appendix A; dall_e/encoder.py
  of openai/DALL-E, whose weights fit (`weights.dalle`).

  Deviation: where all four pixels of a pooling window are equal, the gradient
  is shared among them; PyTorch gives it to the first.

  Attributes:
    width: channels of the first group, divisible by 4.
    blocks_per_group: residual blocks in each group.
    vocab_size: number of codes.
    dtype: type of the computation but for the logits, which are float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  width: Count = 256
  blocks_per_group: Count = 2
  vocab_size: Annotated[int, Range(2)] = 8192
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_width(self.width, self.blocks_per_group)
    check_fields(self)
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
      images: [b, H, W, C] in [0, 1]; H and W divisible by 8.
      train: unused; this and the next are part of every encoder's signature.
      axis_name: unused.
      keys: unused.

    Returns:
      Features float32 [b, 8 width], the mean of the last group over places,
      and 'group_1' to 'group_4' (before pooling), 'logits' float32 [b, H / 8,
      W / 8, vocab_size], 'pre_logits' (the features).

    Raises:
      UserError: an image size that 8 does not divide.
    """
    del train, axis_name, keys
    _, height, width, _ = images.shape
    if height % STRIDE or width % STRIDE:
      raise errors.UserError(
        f'the dVAE takes images whose sides {STRIDE} divides, not '
        f'{height}x{width}'
      )
    out = {}
    x = BiasedConv(self.width, 7, self.dtype, name='input')(map_pixels(images))
    for group in range(1, _GROUPS + 1):
      features = self.width * 2 ** (group - 1)
      x = _run_group(self, x, group, features, (3, 3, 3, 1))
      out[f'group_{group}'] = x
      x = _max_pool(x) if group < _GROUPS else x
    # A sum over all places, so in float32.
    features = out['pre_logits'] = x.astype(jnp.float32).mean((1, 2))
    # float32: their argmax is a target, and a softmax over thousands.
    out['logits'] = BiasedConv(self.vocab_size, 1, jnp.float32, name='output')(
      nn.relu(x)
    )
    return features, out


class DVAEDecoder(nn.Module):
  """Codes, or mixtures of them, to the parameters of the pixels.

  The encoder in reverse, with nearest-neighbour upsampling.

  Source: dall_e/decoder.py of openai/DALL-E.

  Attributes:
    channels: C of the images.
    width: channels of the last group, divisible by 4.
    blocks_per_group: residual blocks in each group.
    init_width: channels that a code becomes first.
    dtype: type of the computation but for both ends, which are float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.
  """

  channels: int = 3
  width: int = 256
  blocks_per_group: int = 2
  init_width: Count = 128
  dtype: Dtype = jnp.float32
  remat: Remat = False

  @nn.compact
  def __call__(self, codes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Decodes.

    Args:
      codes: float [b, h, w, K], one-hot or weights that sum to 1.

    Returns:
      Location and log-scale of the logit-Laplace distribution of each pixel of
      `map_pixels(images)`, both float32 [b, 8 h, 8 w, C].
    """
    x = BiasedConv(self.init_width, 1, jnp.float32, name='input')(codes)
    x = x.astype(self.dtype)
    for group in range(1, _GROUPS + 1):
      features = self.width * 2 ** (_GROUPS - group)
      x = _run_group(self, x, group, features, (1, 3, 3, 3))
      x = x.repeat(2, axis=1).repeat(2, axis=2) if group < _GROUPS else x
    last = BiasedConv(2 * self.channels, 1, jnp.float32, name='output')
    x = last(nn.relu(x))
    location, log_scale = jnp.split(x, 2, axis=-1)
    return location, log_scale


def check_width(width: int, blocks_per_group: int) -> None:
  """Raises `UserError` for a width or depth that has no network."""
  if width < 4 or width % 4:
    raise errors.UserError(
      f'the width of a dVAE must be divisible by 4, not {width}'
    )
  if blocks_per_group < 1:
    raise errors.UserError(
      f'blocks_per_group is {blocks_per_group}; it must be at least 1'
    )


def _run_group(
  module: 'DVAEEncoder | DVAEDecoder',
  x: jax.Array,
  group: int,
  features: int,
  kernel_sizes: Sequence[int],
) -> jax.Array:
  """Runs the residual blocks of a group, named `group_1_block_1` and so on."""
  block_class = remat.block(ResidualBlock, module.remat)
  # The authors' 1 / n² of n blocks in all.
  gain = (_GROUPS * module.blocks_per_group) ** -2
  for block in range(1, module.blocks_per_group + 1):
    x = block_class(
      features,
      kernel_sizes,
      gain,
      module.dtype,
      name=f'group_{group}_block_{block}',
    )(x)
  return x


def _max_pool(x: jax.Array) -> jax.Array:
  b, height, width, channels = x.shape
  # Windows do not overlap, so no windowed reduction is needed, whose gradient
  # is a scatter on a GPU (`ops.pooling`).
  x = x.reshape(b, height // 2, 2, width // 2, 2, channels)
  return x.max(axis=(2, 4))
