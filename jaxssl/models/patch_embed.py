"""Images to tokens, one per patch."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models import dense, initializers
from jaxssl.ops.patches import patchify


class PatchProjection(nn.Module):
  """Linear projection of square patches, in reading order.

  A convolution whose stride is its size, computed as a matrix product: the
  same numbers, with a faster backward pass on the CPU. The parameter keeps the
  convolution's shape [p, p, 3, D] and PyTorch's default initialisation,
  U(+-1 / sqrt(p p 3)) for kernel and bias.

  Attributes:
    patch_size: p, side of a patch in pixels.
    dim: D, width of a token.
    dtype: type of the computation.
    use_bias: add a bias.
  """

  patch_size: int
  dim: int
  dtype: Dtype
  use_bias: bool = True

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps images [b, H, W, C] to tokens [b, (H / p) * (W / p), D]."""
    p, channels = self.patch_size, images.shape[-1]
    fan_in = p * p * channels
    kernel = self.param(
      'kernel',
      initializers.torch_kernel,
      (p, p, channels, self.dim),
      jnp.float32,
    )
    x = patchify(images.astype(self.dtype), p)
    # [p p C, D]: `patchify` has the order of the kernel's sides.
    x = x @ kernel.reshape(fan_in, self.dim).astype(self.dtype)
    if not self.use_bias:
      return x
    bias = self.param('bias', initializers.uniform(fan_in**-0.5), (self.dim,))
    return dense.add(x, bias)


class PatchEmbed(nn.Module):
  """Images to tokens; the extra level gives timm's name `patch_embed.proj`.

  Attributes:
    patch_size: p, side of a patch in pixels.
    dim: D, width of a token.
    dtype: type of the computation.
    use_bias: add a bias.
  """

  patch_size: int
  dim: int
  dtype: Dtype
  use_bias: bool = True

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps images [b, H, W, C] to tokens [b, (H / p) * (W / p), D]."""
    return PatchProjection(
      self.patch_size, self.dim, self.dtype, self.use_bias, name='proj'
    )(images)
