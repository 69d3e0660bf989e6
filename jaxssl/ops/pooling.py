"""Max-pooling, with a backward pass that is fast on CPUs."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp


def max_pool(x: jax.Array) -> jax.Array:
  """Returns the maximum of each 3x3 window, stride 2, padded by 1.

  The gradient goes to the first maximum of a window, as in PyTorch. On a CPU
  the nine shifts are compared pairwise: with its gradient 3 to 4 times as fast
  there as XLA's windowed reduction, which accelerators use.

  Args:
    x: [b, H, W, C].

  Returns:
    [b, ceil(H / 2), ceil(W / 2), C].
  """
  return lax.platform_dependent(x, cpu=_pairwise, default=_windowed)


def _windowed(x: jax.Array) -> jax.Array:
  return nn.max_pool(x, (3, 3), (2, 2), [(1, 1)] * 2)


def _pairwise(x: jax.Array) -> jax.Array:
  rows, columns = ((side + 1) // 2 for side in x.shape[1:3])
  pad = ((0, 0), (1, 1), (1, 1), (0, 0))
  x = jnp.pad(x, pad, constant_values=-jnp.inf)
  best = None
  for u in range(3):
    for v in range(3):
      shift = x[:, u : u + 2 * rows - 1 : 2, v : v + 2 * columns - 1 : 2]
      # Not `jnp.maximum`: it would halve the gradient between equal values.
      best = shift if best is None else jnp.where(shift > best, shift, best)
  return best
