"""PyTorch's default initial values of linear and convolutional layers."""

from flax import linen as nn
import jax
import jax.numpy as jnp

# U(+-1 / sqrt(fan_in)), which is also what the biases start from (`uniform`).
# Its variance is 1 / (3 fan_in).
torch_kernel = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


def uniform(limit: float) -> nn.initializers.Initializer:
  """Returns the initialiser U(-limit, limit)."""
  return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
    key, shape, dtype, minval=-limit, maxval=limit
  )
