"""Projections into the joint space of images and texts."""

from typing import Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, check_fields
from jaxssl.models.mlp import gelu


class Projection(nn.Module):
  """Projection of a tower's features into the space of images and texts.

  CLIP's is one layer without bias, SigLIP's text tower has a bias. With two
  layers, the first keeps the width and is followed by GELU (open_clip's 'mlp').
  Kernels start from normal(fan_in^-0.5), CLIP's.

  Attributes:
    num_layers: 1, or 2 for a non-linear projection.
    out_dim: K, width of the joint space.
    use_bias: have a bias in the last layer.
    dtype: type of the computation; the result is float32.
  """

  num_layers: Literal[1, 2] = 1
  out_dim: Count = 512
  use_bias: bool = False
  dtype: Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Raises `UserError` for a number of layers other than 1 or 2."""
    check_fields(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Projects features [b, D] to float32 [b, K], not normalised.

    Args:
      features: features of a tower.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    x, width = features, features.shape[-1]
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else width,
        use_bias=self.use_bias and last,
        dtype=self.dtype,
        # Deviation fan_in^-0.5, not truncated.
        kernel_init=nn.initializers.variance_scaling(1.0, 'fan_in', 'normal'),
        name=f'dense_{i}',
      )(x)
      x = x if last else gelu(x)
    return x.astype(jnp.float32)


class Unprojected(nn.Module):
  """The features themselves, float32: a head without parameters."""

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Returns features [b, D] in float32."""
    del train, axis_name
    return features.astype(jnp.float32)
