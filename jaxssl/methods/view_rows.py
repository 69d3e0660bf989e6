"""Several views of each image as the rows of one batch.

The views of an image are neighbours, so rows that lie on a device stay there.
Were the views one behind the other, the compiler would have to spread rows
anew over the devices, and whatever is computed from them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def interleave(views: Sequence[jax.Array] | jax.Array) -> jax.Array:
  """Returns [b * V, ...]: row i V + v is row i of view v, each [b, ...]."""
  rows = jnp.stack(views, axis=1)  # [b, V, ...]
  return rows.reshape(-1, *rows.shape[2:])


def separate(rows: jax.Array, num_views: int) -> jax.Array:
  """Returns [V, b, ...] of what was computed from `interleave`d rows."""
  views = rows.reshape(-1, num_views, *rows.shape[1:])  # [b, V, ...]
  return views.swapaxes(0, 1)
