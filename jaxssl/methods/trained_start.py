"""Trained weights in the place of those that a method has drawn."""

from collections.abc import Mapping
import math
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from jaxssl.errors import UserError, first_of
from jaxssl.methods.base import Method, PyTree, TakesTowers
from jaxssl.models import positions

# Where a method keeps what belongs to its encoder; of a slow network too.
_PLACES = ('encoder', 'stats')
# Tables of positions, and the tokens that they have outside the grid.
_TABLES = ('pos_embed', 'relative_position_bias_table')
# What an encoder has for the sake of a method.
_OF_METHOD = ('mask_token',)


def with_towers(
  method: Method, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
) -> tuple[PyTree, PyTree]:
  """Returns `(params, state)` of `Method.init` with trained weights in them.

  The encoder's stand everywhere the method has an encoder (`replace_encoder`),
  so a slow network starts as the same network. Tables of positions of another
  grid are interpolated, and a mask token that the weights lack stays as drawn.

  Args:
    method: what is trained.
    params: parameters from `Method.init`.
    state: state from `Method.init`.
    towers: Flax variables of `encoder`; what else there is goes to the method's
      own `with_towers`.

  Raises:
    UserError: if they are of another architecture, or the method has no place
      for them.
  """
  others = dict(towers)
  encoder = others.pop('encoder', None)
  if encoder is not None:
    fitted = fit(method.export(params, state)['encoder'], encoder)
    params = replace_encoder(params, fitted)
    state = replace_encoder(state, fitted)
  if others:
    if not isinstance(method, TakesTowers):
      kind = type(method).__name__
      raise UserError(f'{kind} does not start from {", ".join(sorted(others))}')
    params, state = method.with_towers(params, state, others)
  return params, state


def replace_encoder(tree: PyTree, variables: PyTree) -> PyTree:
  """Returns a tree of a method with other variables in each of its encoders.

  An encoder is what stands under the name `encoder` (or `stats`, statistics of
  an encoder alone) and has names and shapes of `variables`. So the text tower
  of a method and a teacher of another name stay.

  Args:
    tree: `params` or `state` of a method, or a part of it.
    variables: variables of the encoder, by collection.
  """
  if not isinstance(tree, Mapping):
    return tree
  return {
    name: _replaced(child, variables)
    if name in _PLACES and _is_encoder(child, variables)
    else replace_encoder(child, variables)
    for name, child in tree.items()
  }


def keep_encoder(new: PyTree, old: PyTree, variables: PyTree) -> PyTree:
  """Returns `new` with each encoder as it is in `old`, see `replace_encoder`.

  Args:
    new: `params` or `state` of a method.
    old: the same at another step.
    variables: variables of the encoder; only names and shapes matter.
  """
  if not isinstance(new, Mapping):
    return new
  return {
    name: old[name]
    if name in _PLACES and _is_encoder(child, variables)
    else keep_encoder(child, old[name], variables)
    for name, child in new.items()
  }


def fit(old: PyTree, new: PyTree) -> PyTree:
  """Returns trained variables with the names and shapes of an encoder's own.

  Args:
    old: the encoder's own, or their shapes.
    new: trained ones.

  Raises:
    UserError: if they are of another architecture.
  """
  own: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(old)
  trained: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(new)
  result, wrong = {}, []
  # Sorted, so that the error names the same arrays every time.
  for path in sorted(own.keys() | trained.keys()):
    mine, theirs = own.get(path), trained.get(path)
    # A mask token that only the trained weights have is dropped.
    if path[-1] in _OF_METHOD and (mine is None or theirs is None):
      result |= {} if mine is None else {path: mine}
    elif mine is None or theirs is None:
      wrong.append(f'{".".join(path)}: {_shape(theirs)} for {_shape(mine)}')
    elif mine.shape == theirs.shape:
      result[path] = theirs
    elif path[-1] in _TABLES and _grids(mine, theirs):
      result[path] = _resized(theirs, mine)
    else:
      wrong.append(f'{".".join(path)}: {_shape(theirs)} for {_shape(mine)}')
  if wrong:
    raise UserError(
      f'the weights are of another encoder: {first_of(wrong, 2)}; give the '
      'encoder section of the run that made them'
    )
  return traverse_util.unflatten_dict(result)


def _is_encoder(tree: PyTree, variables: PyTree) -> bool:
  """Whether it is one collection of the encoder, or some by their names."""
  if not isinstance(tree, Mapping) or not tree:
    return False
  # Named by collection: 'params', 'batch_stats' or both.
  if tree.keys() <= variables.keys():
    return all(_alike(tree[kind], variables[kind]) for kind in tree)
  # The arrays of one collection, without its name.
  return any(_alike(tree, own) for own in variables.values())


def _replaced(tree: PyTree, variables: PyTree) -> PyTree:
  if tree.keys() <= variables.keys():
    return {kind: variables[kind] for kind in tree}
  return next(own for own in variables.values() if _alike(tree, own))


def _alike(one: PyTree, other: PyTree) -> bool:
  return jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, other)


def _grids(mine: Any, theirs: Any) -> bool:
  """Whether both are tables of square grids with the same tokens outside."""
  if mine.ndim != theirs.ndim:
    return False
  outside = {_num_outside(table) for table in (mine, theirs)}
  others = {(*t.shape[:1], *t.shape[2:]) for t in (mine, theirs)}
  return len(outside) == len(others) == 1


def _num_outside(table: Any) -> int:
  """Returns how many entries of a table [x, N, ...] are of no square grid."""
  return table.shape[1] - math.isqrt(table.shape[1]) ** 2


def _resized(theirs: jax.Array, mine: jax.Array) -> jax.Array:
  """Returns a table of positions for the grid of `mine`."""
  outside = _num_outside(theirs)
  old, new = (math.isqrt(t.shape[1] - outside) for t in (theirs, mine))
  sides = (old, old), (new, new)
  if theirs.ndim == 3:  # [1, P + N, D], the prefix first
    grid = positions.interpolate(theirs[0, outside:], *sides)
    return jnp.concatenate([theirs[:, :outside], grid[None]], axis=1)
  # [heads, N + 3], the class token last
  count = theirs.shape[1] - outside
  grid = positions.interpolate(theirs[:, :count].T, *sides).T
  return jnp.concatenate([grid, theirs[:, count:]], axis=1)


def _shape(leaf: Any) -> tuple[int, ...] | str:
  return 'nothing' if leaf is None else tuple(leaf.shape)
