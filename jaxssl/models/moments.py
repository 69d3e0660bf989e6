"""Mean and variance."""

import jax
import jax.numpy as jnp


def moments(
  x: jax.Array, axes: tuple[int, ...], *, keepdims: bool = False
) -> tuple[jax.Array, jax.Array]:
  """Returns mean and biased variance over `axes`, float32.

  Of float32 values the variance takes a second pass over the deviations from
  the mean: `E[x^2] - E[x]^2` loses all digits where the mean is large. So it
  does for float16, whose values may differ by 1/2048 of their size. Values of
  bfloat16 differ by at least 1/256 where they differ at all, which sums of
  squares in float32 resolve: one pass is enough and reads half as many bytes.

  Args:
    x: any shape.
    axes: axes that are reduced.
    keepdims: keep them, with one element each.
  """
  wide = x.astype(jnp.float32)
  if x.dtype == jnp.bfloat16:
    mean = wide.mean(axes, keepdims=keepdims)
    square = jnp.square(wide).mean(axes, keepdims=keepdims)
    # Rounding can leave a difference below zero.
    return mean, jnp.maximum(square - jnp.square(mean), 0.0)
  mean = wide.mean(axes, keepdims=True)
  deviation = wide - jnp.broadcast_to(mean, x.shape)
  var = jnp.square(deviation).mean(axes, keepdims=keepdims)
  return mean if keepdims else mean.reshape(var.shape), var
