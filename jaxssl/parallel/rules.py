"""Which side of an array is cut when several devices share one state.

Parameters, their moments and those of a slow network have the same shapes, so
one rule places them alike, and an update needs no communication.
"""

from collections.abc import Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

PyTree = Any
# Numbers, not bytes: a parameter and its moment may differ in type. A MiB of
# float32; what is smaller costs more in messages than it saves.
SMALLEST = 2**18
# (regular expression, side): the first that is found in a name decides.
NAMES: tuple[tuple[str, int | None], ...] = ()


def partition_specs(
  state: PyTree,
  *,
  axis: str,
  size: int,
  smallest: int = SMALLEST,
  names: Sequence[tuple[str, int | None]] = NAMES,
) -> PyTree:
  """Chooses for each array the side that is cut into `size` equal parts.

  It is the largest that `size` divides, the first of equals. Whole stay arrays
  with no such side, with fewer than `smallest` numbers, and PRNG keys.

  Args:
    state: pytree of arrays, or of their shapes and types.
    axis: name of the mesh axis that the parts go over.
    size: number of devices on it.
    smallest: fewest numbers of an array that is cut.
    names: pairs of a regular expression and what is done with the arrays in
      whose name (`params/encoder/blocks_0/mlp/fc1/kernel`) it is found: the
      side to cut, if `size` divides it, or None to keep them whole.

  Returns:
    A pytree of `jax.sharding.PartitionSpec`.
  """

  def spec(path: tuple[Any, ...], leaf: Any) -> P:
    side = _side(path, leaf)
    return P() if side is None else P(*[None] * side, axis)

  def _side(path: tuple[Any, ...], leaf: Any) -> int | None:
    if size == 1 or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return None
    free = [i for i, side in enumerate(leaf.shape) if side % size == 0]
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    for pattern, side in names:
      if re.search(pattern, name):
        return side if side in free else None
    if leaf.size < smallest or not free:
      return None
    return max(free, key=lambda i: leaf.shape[i])

  return jax.tree_util.tree_map_with_path(spec, state)
