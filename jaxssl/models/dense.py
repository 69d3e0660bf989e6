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
    return affine(x.astype(self.dtype), kernel.astype(self.dtype), bias)


_Gradients = tuple[jax.Array, jax.Array, jax.Array]


@jax.custom_vjp
def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
  """Returns `x @ kernel + bias` in the type of `x`.

  Of the derived gradient XLA's CPU backend computes what comes from behind
  twice, for the kernel in the order of its transposition, and takes 7 % of the
  step of a ViT for the sums of biases (benchmarks/results/step.md). On a CPU
  the gradient is therefore written out. No forward-mode derivative.

  Args:
    x: [..., D].
    kernel: [D, F], of the type of `x`.
    bias: float32 [F].

  Returns:
    [..., F].
  """
  return add(_product(x, kernel), bias)


def _affine_fwd(
  x: jax.Array, kernel: jax.Array, bias: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  # Not `affine`: a policy of `remat` has to see the product.
  return add(_product(x, kernel), bias), (x, kernel)


def _affine_bwd(
  residuals: tuple[jax.Array, jax.Array], grad: jax.Array
) -> _Gradients:
  return jax.lax.platform_dependent(
    *residuals, grad, cpu=_gradients_by_rows, default=_derived_gradients
  )


affine.defvjp(_affine_fwd, _affine_bwd)


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return jax.lax.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))


def _derived_gradients(
  x: jax.Array, kernel: jax.Array, grad: jax.Array
) -> _Gradients:
  """Returns what JAX derives."""
  (dx,) = jax.linear_transpose(lambda x: _product(x, kernel), x)(grad)
  (dkernel,) = jax.linear_transpose(lambda k: _product(x, k), kernel)(grad)
  rows = tuple(range(grad.ndim - 1))
  return dx, dkernel, grad.astype(jnp.float32).sum(rows)


def _gradients_by_rows(
  x: jax.Array, kernel: jax.Array, grad: jax.Array
) -> _Gradients:
  """As derived, by three products that all read `grad` row by row."""
  rows = grad.reshape(-1, grad.shape[-1])
  dx = jax.lax.dot_general(rows, kernel, (((1,), (1,)), ((), ())))
  over_rows = (((0,), (0,)), ((), ()))
  dkernel = jax.lax.dot_general(x.reshape(-1, x.shape[-1]), rows, over_rows)
  # A sum as a product with a vector.
  dbias = jax.lax.dot_general(
    jnp.ones(len(rows)),
    rows.astype(jnp.float32),
    over_rows,
    precision='highest',
  )
  return dx.reshape(x.shape), dkernel, dbias
