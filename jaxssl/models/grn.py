"""Global response normalisation."""

from flax import linen as nn
import jax
import jax.numpy as jnp


class GRN(nn.Module):
  """Global response normalisation (Woo et al., arXiv 2301.00808, section 3).

  `y = x + scale * x * n + bias` with `n = g / (E[g] + epsilon)`, where `g` is
  the L2 norm of a channel over the positions of an image and the mean is over
  channels; in float32. Scale and bias start at zero, so it starts as identity.

  Attributes:
    epsilon: added to the mean of the norms.
  """

  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [b, H, W, C] to [b, H, W, C], in the type of `x`."""
    zeros, dim = nn.initializers.zeros, x.shape[-1:]
    scale = self.param('scale', zeros, dim, jnp.float32)
    bias = self.param('bias', zeros, dim, jnp.float32)
    wide = x.astype(jnp.float32)
    norm = _norm(wide)
    norm /= norm.mean(-1, keepdims=True) + self.epsilon
    # In float32 up to the end: gradients of both are sums over all positions.
    scale, bias = (jnp.broadcast_to(p, x.shape) for p in (scale, bias))
    return (wide + wide * norm * scale + bias).astype(x.dtype)


def _norm(x: jax.Array) -> jax.Array:
  """Returns the L2 norm over positions, [b, 1, 1, C]."""
  squares = jnp.square(x).sum((1, 2), keepdims=True)
  # A channel can be zero everywhere; the root's slope there is infinite, and
  # PyTorch's gradient of a norm is zero.
  is_zero = squares == 0
  return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squares)))
