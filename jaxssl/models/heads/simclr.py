"""SimCLR's projection head."""

from typing import Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, check_fields
from jaxssl.models.norm import BatchNorm


class SimCLRHead(nn.Module):
  """SimCLR's projection head (arXiv 2002.05709; v2: arXiv 2006.10029).

  Every layer is a Dense without bias (normal, 0.01) and a BatchNorm; all but
  the last keep the input's width, learn a BatchNorm bias and end with ReLU.
  The last BatchNorm has a scale but no bias, as in the authors' code
  (google-research/simclr, tf2/model.py, `ProjectionHead`); the papers do not
  mention these BatchNorms.

  Attributes:
    num_layers: 2 in v1, 3 in v2.
    out_dim: K, width of the projection.
    dtype: type of the Dense layers; BatchNorm and the result are float32.
  """

  num_layers: Literal[2, 3] = 3
  out_dim: Count = 128
  dtype: Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Raises `UserError` for a number of layers other than 2 or 3."""
    check_fields(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    features: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    stop_after: int | None = None,
  ) -> jax.Array:
    """Projects features [b, D] to float32 [b, K].

    Args:
      features: features of the encoder, not normalised.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
      stop_after: return the output [b, D] of this layer (counted from 1, after
        ReLU) instead; SimCLR v2 fine-tunes from layer 1.
    """
    x, width = features, features.shape[-1]
    for i in range(stop_after or self.num_layers):
      last = i == self.num_layers - 1
      # BatchNorm would take a bias out.
      x = nn.Dense(
        self.out_dim if last else width,
        use_bias=False,
        dtype=self.dtype,
        kernel_init=nn.initializers.normal(0.01),
        name=f'dense_{i}',
      )(x)
      x = BatchNorm(use_bias=not last, name=f'bn_{i}')(
        x, train=train, axis_name=axis_name
      )
      x = x if last else nn.relu(x)
    return x
