"""Flax variables split into what is trained and what is remembered."""

from typing import Any

from flax import linen as nn
import jax

PyTree = Any


def split(variables: PyTree) -> tuple[PyTree, PyTree]:
  """Returns `(params, stats)`: trainable variables, all other collections."""
  stats = dict(variables)
  return stats.pop('params'), stats


def apply_train(
  module: nn.Module,
  params: PyTree,
  stats: PyTree,
  *inputs: Any,
  axis_name: str | None = None,
  keys: jax.Array | None = None,
) -> tuple[Any, PyTree]:
  """Runs a module in training mode.

  Args:
    module: takes `train`, `axis_name` and `keys`.
    params: its trainable variables.
    stats: its other collections (batch statistics); may be empty.
    *inputs: positional arguments.
    axis_name: mapped device axis, or None in the global view.
    keys: typed PRNG keys, one a row, for drop path.

  Returns:
    The module's result and the new `stats`.
  """
  return module.apply(
    {'params': params, **stats},
    *inputs,
    train=True,
    axis_name=axis_name,
    keys=keys,
    mutable=list(stats),
  )


def join(**towers: PyTree) -> PyTree:
  """Returns the variables of a module from those of its submodules by name."""
  joined = {'params': {}}
  for name, variables in towers.items():
    for kind, tree in variables.items():
      joined.setdefault(kind, {})[name] = tree
  return joined


def tower(name: str, params: PyTree, stats: PyTree) -> PyTree:
  """Returns the variables of the submodule `name` of a larger module."""
  rest = {kind: tree[name] for kind, tree in stats.items() if name in tree}
  return {'params': params[name], **rest}
