"""LayerScale: one learned factor a channel."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.models import dense


class LayerScale(nn.Module):
  """`gamma * x`, one learned factor a channel (arXiv 2103.17239).

  Attributes:
    start: value that `gamma` starts from.
  """

  start: float

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Scales [..., D]."""
    init = nn.initializers.constant(self.start)
    gamma = self.param('gamma', init, x.shape[-1:], jnp.float32)
    return dense.scale(x, gamma)
