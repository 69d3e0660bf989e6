"""LayerScale: one learned factor a channel."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.models import dense


class LayerScale(nn.Module):
  """`gamma * x`, one learned factor a channel (arXiv 2103.17239).

  Attributes:
    init: value that `gamma` starts from.
  """

  init: float

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Scales [..., D]."""
    init = nn.initializers.constant(self.init)
    gamma = self.param('gamma', init, x.shape[-1:], jnp.float32)
    return dense.scale(x, gamma)
