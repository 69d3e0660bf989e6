"""MoCo's projection head."""

from typing import Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, check_fields
from jaxssl.models import initializers


class MoCoHead(nn.Module):
  """Projection head of MoCo (arXiv 1911.05722; v2: arXiv 2003.04297).

  Dense layers with bias and without normalisation, ReLU between them, the
  hidden one as wide as the features; PyTorch's default initialisation,
  U(+-1 / sqrt(fan_in)) for kernel and bias, as the authors' `fc`.

  Attributes:
    num_layers: 1 in v1, 2 in v2.
    out_dim: K, width of the embedding.
    dtype: type of the Dense layers; the result is float32.
  """

  num_layers: Literal[1, 2] = 2
  out_dim: Count = 128
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
      features: features of the encoder.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    x, width = features, features.shape[-1]
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else width,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        # Both layers have the width of the features as fan-in.
        bias_init=initializers.uniform(width**-0.5),
        name=f'dense_{i}',
      )(x)
      x = x if last else nn.relu(x)
    return x.astype(jnp.float32)
