"""Dense layers and sums whose gradients are added up in float32."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp
import numpy as np


def add(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns x + y in the type of x, for a float32 y that rows share.

  The gradient of y is a sum over all rows and tokens. Derived from a sum in
  bfloat16 it would be one in bfloat16, which loses what is smaller than 1/256
  of it unless the compiler keeps more digits by itself.

  Args:
    x: activations.
    y: parameters, of a shape that broadcasts to that of `x`.
  """
  wide = x.astype(jnp.float32) + jnp.broadcast_to(y, x.shape)
  return wide.astype(x.dtype)


def scale(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns x * y; otherwise as `add`."""
  wide = x.astype(jnp.float32) * jnp.broadcast_to(y, x.shape)
  return wide.astype(x.dtype)


class Dense(nn.Module):
  """`x @ kernel + bias`, as `flax.linen.Dense` in float32.

  Attributes:
    features: width of the result.
    dtype: type of the product; parameters and sums of gradients are float32.
    kernel_init: initialiser of `kernel` [D, features].
  """

  features: int
  dtype: Dtype
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(
    self, x: jax.Array, bias_mask: np.ndarray | None = None
  ) -> jax.Array:
    """Maps [..., D] to [..., features].

    Args:
      x: activations [..., D].
      bias_mask: float32 [features] that the bias is multiplied by, or None.
    """
    shape = (x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    zeros = nn.initializers.zeros
    bias = self.param('bias', zeros, (self.features,), jnp.float32)
    if bias_mask is not None:
      bias = bias * bias_mask
    x = jax.lax.dot_general(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      (((x.ndim - 1,), (0,)), ((), ())),
    )
    return add(x, bias)
