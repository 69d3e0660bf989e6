"""Convolution with PyTorch's padding."""

from flax import linen as nn
from flax.typing import Dtype
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from jaxssl.models.remat import CONVOLUTION
from jaxssl.ops.computed_once import computed_once
from jaxssl.ops.convolution import conv2d

# torchvision's `kaiming_normal_(mode='fan_out', nonlinearity='relu')`.
kaiming_normal_fan_out = nn.initializers.variance_scaling(
  2.0, 'fan_out', 'normal'
)


class Conv(nn.Module):
  """Square convolution without bias, padded by `kernel_size // 2` on each side.

  This is PyTorch's explicit padding. XLA's `SAME` pads a strided convolution
  more at the end than at the start, which shifts the result by a pixel.

  A 1x1 convolution is computed as a matrix product: the same numbers, with a
  faster backward pass on XLA's CPU backend; accelerators lower both alike.

  Attributes:
    features: output channels.
    kernel_size: height and width of the kernel, odd.
    stride: step in pixels in both directions.
    dtype: type of the computation; the parameter `kernel` [k, k, in, out] is
      float32.
    kernel_init: initialiser of `kernel`.
  """

  features: int
  kernel_size: int = 3
  stride: int = 1
  dtype: Dtype = jnp.float32
  kernel_init: nn.initializers.Initializer = kaiming_normal_fan_out

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves `x` [b, H, W, in] to [b, H', W', out]."""
    k, stride = self.kernel_size, self.stride
    shape = (k, k, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    # The parameter stays float32; only what is multiplied has `dtype`.
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    x = computed_once(x)
    if k == 1:
      return pointwise(x[:, ::stride, ::stride], kernel[0, 0])
    # Named, so that 'dots' of `models.remat` keeps it like a product.
    return computed_once(
      checkpoint_name(conv2d(x, kernel, stride), CONVOLUTION)
    )


class PointwiseKernel(nn.Module):
  """The kernel of a `Conv` of 1x1 pixels, for `BatchNorm` to multiply with.

  Attributes:
    features: output channels.
  """

  features: int

  @nn.compact
  def __call__(self, channels: int) -> jax.Array:
    """Returns the kernel, float32 [channels, features]."""
    shape = (1, 1, channels, self.features)
    kernel = self.param('kernel', kaiming_normal_fan_out, shape, jnp.float32)
    return kernel[0, 0]


def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Returns `x @ kernel` in the type of `x`, a 1x1 convolution."""
  return computed_once(x @ kernel.astype(x.dtype))
