"""The projector of SwAV and LeJEPA."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count
from jaxssl.models import initializers
from jaxssl.models.norm import BatchNorm


class MLPHead(nn.Module):
  """Dense layers with BatchNorm and ReLU between them.

  The last layer has a bias. The others have none, which the BatchNorm behind
  them would take out; so this is `Linear, BatchNorm1d, ReLU, ..., Linear` of
  SwAV's `projection_head` and of torchvision's `MLP`. Weights start from
  PyTorch's default U(+-1 / sqrt(fan_in)), the bias from zero.

  Attributes:
    num_layers: Dense layers.
    hidden_dim: width of all of them but the last.
    out_dim: K.
    dtype: type of the Dense layers; BatchNorm and the result are float32.
  """

  num_layers: int = 2
  hidden_dim: Count = 2048
  out_dim: Count = 128
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps [..., D] to float32 [..., K].

    Args:
      features: features of the encoder.
      train: use the statistics of all rows in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
    """
    x = features
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else self.hidden_dim,
        use_bias=last,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        name=f'dense_{i}',
      )(x)
      if not last:
        # All leading axes are rows: views too, where they come stacked.
        norm = BatchNorm(name=f'bn_{i}')
        x = nn.relu(norm(x, train=train, axis_name=axis_name))
    return x.astype(jnp.float32)
