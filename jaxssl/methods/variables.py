"""Flax variables split into what is trained and what is remembered."""

from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax

from jaxssl.methods.base import PyTree


def split(variables: PyTree) -> tuple[PyTree, PyTree]:
  """Returns `(params, stats)`: trainable variables, all other collections."""
  stats = dict(variables)
  return stats.pop('params'), stats


def apply(
  module: nn.Module, variables: PyTree, *inputs: Any, **options: Any
) -> Any:
  """Runs a module whose collections stay as they are.

  `Module.apply` is typed as a result or a pair with the changed collections;
  without `mutable` it is the result.

  Args:
    module: what to run.
    variables: its collections.
    *inputs: positional arguments.
    **options: named ones.
  """
  return module.apply(variables, *inputs, **options)


def apply_train(
  module: nn.Module,
  params: PyTree,
  stats: PyTree,
  *inputs: Any,
  **options: Any,
) -> tuple[Any, PyTree]:
  """Runs a module in training mode.

  Args:
    module: takes `train` and the options.
    params: its trainable variables.
    stats: its other collections (batch statistics); may be empty.
    *inputs: positional arguments.
    **options: `axis_name`: mapped device axis, or None in the global view;
      `keys`: typed PRNG keys, one per row, for drop path.

  Returns:
    The module's result and the new `stats`.
  """
  return module.apply(
    {'params': params, **stats},
    *inputs,
    train=True,
    # A list, even an empty one: with it Flax returns a pair, so that callers
    # need not ask whether the module has statistics.
    mutable=list(stats),
    **options,
  )


def apply_part(
  name: str,
  module: nn.Module,
  params: PyTree,
  stats: PyTree,
  *inputs: Any,
  **options: Any,
) -> tuple[Any, PyTree]:
  """Runs the submodule `name` of a larger module in training mode.

  Args:
    name: name of the submodule.
    module: the submodule.
    params: trainable variables of the larger module.
    stats: its other collections.
    *inputs: positional arguments.
    **options: as in `apply_train`.

  Returns:
    The submodule's result, and its new statistics where the larger module has
    them (`replace`).
  """
  own_params, own_stats = split(tower(name, params, stats))
  result, new = apply_train(module, own_params, own_stats, *inputs, **options)
  return result, {kind: {name: tree} for kind, tree in new.items()}


def apply_each(
  name: str,
  module: nn.Module,
  params: PyTree,
  stats: PyTree,
  views: Sequence[jax.Array],
  *,
  axis_name: str | None,
  keys: Sequence[jax.Array] | None = None,
) -> tuple[list[Any], PyTree]:
  """Runs the submodule `name` on one view after the other, in training mode.

  Each view has batch statistics of its own; running ones follow all of them.

  Args:
    name: name of the submodule.
    module: the submodule.
    params: trainable variables of the larger module.
    stats: its other collections.
    views: inputs [b, ...].
    axis_name: mapped device axis, or None in the global view.
    keys: typed PRNG keys [b] of each view, for drop path.

  Returns:
    The submodule's results, and its new statistics, as of `apply_part`.
  """
  outputs, new = [], {}
  for v, view in enumerate(views):
    # Heads take no keys.
    options = {} if keys is None else {'keys': keys[v]}
    output, new = apply_part(
      name,
      module,
      params,
      # The running statistics go on from where the last view left them.
      replace(stats, new),
      view,
      axis_name=axis_name,
      **options,
    )
    outputs.append(output)
  return outputs, new


def init_with_predictor(
  net_key: jax.Array,
  predictor_key: jax.Array,
  net: nn.Module,
  predictor: nn.Module,
  images: jax.Array,
) -> tuple[PyTree, PyTree]:
  """Returns `split` variables of encoder, head and predictor, by these names.

  Args:
    net_key: key of encoder and head.
    predictor_key: key of the predictor.
    net: `models.Net`, images -> projections [b, K].
    predictor: projections -> predictions.
    images: [b, H, W, 3].
  """
  z, found = net.init_with_output(net_key, images, train=False)
  parts = {name: tower(name, *split(found)) for name in ('encoder', 'head')}
  return split(
    join(**parts, predictor=predictor.init(predictor_key, z, train=False))
  )


def replace(stats: PyTree, *changes: PyTree) -> PyTree:
  """Returns `stats` with the new ones of some submodules."""
  for new in changes:
    # A submodule may have no statistics of a kind, or none at all.
    stats = {k: {**tree, **new.get(k, {})} for k, tree in stats.items()}
  return stats


def join(**towers: PyTree) -> PyTree:
  """Returns the variables of a module from those of its submodules by name."""
  joined = {'params': {}}
  for name, variables in towers.items():
    for kind, tree in variables.items():
      joined.setdefault(kind, {})[name] = tree
  return joined


def tower(name: str, params: PyTree, stats: PyTree) -> PyTree:
  """Returns the variables of the submodule `name` of a larger module.

  Args:
    name: name of the submodule.
    params: parameters of the larger module, by submodule.
    stats: its other collections, by kind and submodule.
  """
  # A kind may exist for another submodule only: the head of a ViT has batch
  # statistics, the ViT has none.
  rest = {kind: tree[name] for kind, tree in stats.items() if name in tree}
  return {'params': params[name], **rest}
