"""The Dense layer of transformer blocks, and their feed-forward part."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp


def dense(features: int, dtype: Dtype, name: str) -> nn.Dense:
  """Returns a Dense layer as timm's ViT starts it: normal(0.02), bias 0.

  timm truncates this normal at +-2, that is at 100 standard deviations.
  """
  return nn.Dense(
    features,
    dtype=dtype,
    kernel_init=nn.initializers.normal(0.02),
    name=name,
  )


def gelu(x: jax.Array) -> jax.Array:
  """Exact GELU, `x / 2 * (1 + erf(x / sqrt(2)))` (arXiv 1606.08415).

  `jax.nn.gelu(approximate=False)` goes through erfc, which is slower on the
  CPU and keeps more for the backward pass.
  """
  return 0.5 * x * (1.0 + jax.lax.erf(x * (0.5**0.5)))


class MLP(nn.Module):
  """`fc2(gelu(fc1(x)))`, keeping the width.

  Attributes:
    hidden_dim: width between the two layers.
    dtype: type of the computation.
  """

  hidden_dim: int
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [..., D] to [..., D]."""
    dim = x.shape[-1]
    x = gelu(dense(self.hidden_dim, self.dtype, 'fc1')(x))
    return dense(dim, self.dtype, 'fc2')(x)
