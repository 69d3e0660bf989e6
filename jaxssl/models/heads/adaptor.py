"""The head that maps a student's features to those of its teacher."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count
from jaxssl.models import initializers
from jaxssl.models.layer_norm import LayerNorm

# PyTorch's default.
_EPSILON = 1e-5


class Adaptor(nn.Module):
  """`Linear, LayerNorm, ReLU, Linear`, as the adaptors of AM-RADIO.

  Weights start from PyTorch's default U(+-1 / sqrt(fan_in)), biases from zero.

  Attributes:
    hidden_dim: width between the layers.
    dtype: type of the Dense layers; the norm and the result are float32.
  """

  hidden_dim: Count = 2048
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, out_dim: int) -> jax.Array:
    """Maps [..., D] to float32 [..., `out_dim`]."""
    for i, width in enumerate((self.hidden_dim, out_dim)):
      if i:
        x = nn.relu(LayerNorm(_EPSILON, name='norm')(x))
      x = nn.Dense(
        width,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        name=f'dense_{i}',
      )(x)
    return x.astype(jnp.float32)
