"""The block of ConvNeXt, versions 1 and 2."""

from flax import linen as nn
from flax.typing import Dtype
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from jaxssl.models import dense
from jaxssl.models.drop_path import drop_path
from jaxssl.models.grn import GRN
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import dense as dense_layer
from jaxssl.models.mlp import gelu
from jaxssl.models.remat import CONVOLUTION
from jaxssl.ops.depthwise import depthwise_conv2d

# Side of the kernels.
_KERNEL = 7
# The authors' initial values; truncated at +-2, that is at 100 deviations.
INIT = nn.initializers.normal(0.02)


class DepthwiseConv(nn.Module):
  """Convolution of each channel by itself, with bias; keeps the size.

  Attributes:
    dtype: type of the computation; the parameters `kernel` [7, 7, 1, C] and
      `bias` are float32.
  """

  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [b, H, W, C]."""
    channels = x.shape[-1]
    shape = (_KERNEL, _KERNEL, 1, channels)
    kernel = self.param('kernel', INIT, shape, jnp.float32)
    zeros = nn.initializers.zeros
    bias = self.param('bias', zeros, (channels,), jnp.float32)
    x = depthwise_conv2d(x.astype(self.dtype), kernel.astype(self.dtype))
    return dense.add(checkpoint_name(x, CONVOLUTION), bias)


class ConvMLP(nn.Module):
  """`fc2(grn(gelu(fc1(x))))` with 4 C units in each position of a map.

  Attributes:
    grn: have global response normalisation (version 2).
    dtype: type of the computation.
  """

  grn: bool
  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, H, W, C] to [b, H, W, C]."""
    dim = x.shape[-1]
    x = gelu(dense_layer(4 * dim, self.dtype, 'fc1')(x))
    x = GRN(name='grn')(x) if self.grn else x
    return dense_layer(dim, self.dtype, 'fc2')(x)


class ConvNeXtBlock(nn.Module):
  """`x + gamma * mlp(norm(depthwise(x)))`.

  Attributes:
    grn: have global response normalisation in the MLP.
    layer_scale: value that `gamma` starts from, or None for none.
    drop_rate: probability to drop the branch of a row.
    epsilon: ε of the LayerNorm.
    dtype: type of the computation.
  """

  grn: bool
  layer_scale: float | None
  drop_rate: float
  epsilon: float
  dtype: Dtype

  @nn.compact
  def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
    """Maps [b, H, W, C] to [b, H, W, C].

    Args:
      x: activations.
      keys: typed PRNG keys [b] of this block, or None to drop nothing.
    """
    y = DepthwiseConv(self.dtype, name='conv_dw')(x)
    y = LayerNorm(self.epsilon, self.dtype, name='norm')(y)
    y = ConvMLP(self.grn, self.dtype, name='mlp')(y)
    if self.layer_scale is not None:
      # Not a `LayerScale`, whose name would be a level that timm's lacks.
      start = nn.initializers.constant(self.layer_scale)
      gamma = self.param('gamma', start, x.shape[-1:], jnp.float32)
      y = dense.scale(y, gamma)
    if keys is not None and self.drop_rate > 0:
      y = drop_path(keys, y, rate=self.drop_rate)
    return x + y
