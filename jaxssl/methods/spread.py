"""How much targets differ from each other: 0 where a network has collapsed."""

import jax
import jax.numpy as jnp


def sums(targets: jax.Array) -> dict[str, jax.Array]:
  """Returns what `of` needs, as sums, which parts and devices can add up.

  Args:
    targets: [b, N, D].
  """
  return {
    'mean': targets.sum((0, 1)),
    'square': (targets**2).sum((0, 1)),
    'count': jnp.asarray(targets.shape[0] * targets.shape[1], jnp.float32),
  }


def of(sums: dict[str, jax.Array]) -> jax.Array:
  """Returns the root of the mean variance of each of the D numbers.

  For targets of which each has mean 0 and variance 1 over its D numbers it is
  in [0, 1]; 0 if all are alike.

  Args:
    sums: of all targets.
  """
  mean, square = (sums[name] / sums['count'] for name in ('mean', 'square'))
  # Rounding must not make a root of less than nothing.
  return jnp.sqrt(jnp.maximum(square - mean**2, 0).mean())
