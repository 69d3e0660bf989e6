"""Drop path (stochastic depth) from one key per row."""

from typing import overload

import jax


def drop_path(keys: jax.Array, x: jax.Array, *, rate: float) -> jax.Array:
  """Zeroes a residual branch for some rows, `x * Bernoulli(1 - r) / (1 - r)`.

  Huang et al., arXiv 1603.09382, with timm's scaling of the kept rows. A row
  of the global batch meets the same fate on any number of devices, because
  its key does not depend on them.

  Args:
    keys: typed PRNG keys [b].
    x: [b, ...], output of the branch.
    rate: probability to drop, in [0, 1).
  """
  keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate))(keys)
  # Kept rows grow, so that the mean is that of evaluation.
  factor = (keep / (1.0 - rate)).astype(x.dtype)
  return x * factor.reshape(-1, *[1] * (x.ndim - 1))


@overload
def fold_keys(keys: jax.Array, number: int) -> jax.Array: ...
@overload
def fold_keys(keys: None, number: int) -> None: ...
def fold_keys(keys: jax.Array | None, number: int) -> jax.Array | None:
  """Returns keys [b] for one of several uses, or None without keys."""
  if keys is None:
    return None
  return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
