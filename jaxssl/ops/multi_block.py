"""I-JEPA's masks: a context and the blocks that are predicted from it."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Grid = tuple[int, int]

# Of the authors: shares of the picture, and height / width, of a target.
TARGET_SCALE, TARGET_ASPECT = (0.15, 0.2), (0.75, 1.5)
# The context is a square before targets are cut out of it.
CONTEXT_SCALE = (0.85, 1.0)


class MultiBlock(NamedTuple):
  """Places of patches, in arrays of one shape whatever was drawn.

  Attributes:
    context: int32 [b, K], places that the context encoder sees, in reading
      order; 0 where `present` is False.
    present: bool [b, K]; a row with fewer patches in its context has some
      places left at the end.
    targets: int32 [b, M, T], places of the patches of each target block, in
      reading order; 0 where `counted` is False.
    counted: bool [T]; all blocks of a step have the same number of patches.
  """

  context: jax.Array
  present: jax.Array
  targets: jax.Array
  counted: jax.Array


class _Size(NamedTuple):
  height: jax.Array
  width: jax.Array


def multi_block(
  size_key: jax.Array,
  keys: jax.Array,
  grid: Grid,
  *,
  num_context: int,
  num_targets: int = 4,
  min_context: int = 10,
) -> MultiBlock:
  """Draws a context block without its targets, and the targets, of each row.

  With one u ~ U(0, 1) for all rows, a target is int(N (0.15 + 0.05 u)) patches
  large at a height / width of 0.75 + 0.75 u; the context, before targets are
  cut out, is a square of int(N (0.85 + 0.15 u')). Sides are rounded and smaller
  than the grid's. Places are uniform for each row, among [0, H - h) and
  [0, W - w) as in the authors' code: a block never touches the last row or
  column. Where a context would have at most `min_context` patches, the last
  targets, as few as will do, are not cut out.

  Source: `MaskCollator` in src/masks/multiblock.py of facebookresearch/ijepa
  (Assran et al. 2023, arXiv 2301.08243, section 3).

  Differs from it: shapes are fixed, for one compilation. The authors cut the
  context of all rows of a device to the shortest one, about 0.26 N for 128
  rows; here `num_context` is the limit, patches beyond it (the lowest of the
  picture, as theirs) are left out, and rows with fewer are filled up.

  Args:
    size_key: typed PRNG key of the sizes, the same for all rows of a step.
    keys: typed PRNG keys [b], one per row.
    grid: (rows, columns) of the N patches; see `fits`.
    num_context: K, at most N.
    num_targets: M.
    min_context: patches that a context must exceed.
  """
  target_key, context_key = jax.random.split(size_key)
  target = _size(target_key, grid, TARGET_SCALE, TARGET_ASPECT)
  square = _size(context_key, grid, CONTEXT_SCALE, (1.0, 1.0))
  length = max_target(grid)

  def draw_row(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    corner_keys = jax.random.split(key, num_targets + 1)
    corners = jax.vmap(lambda k: _corner(k, target, grid))(corner_keys[1:])
    blocks = jax.vmap(lambda corner: _inside(corner, target, grid))(corners)
    whole = _inside(_corner(corner_keys[0], square, grid), square, grid)
    context = _cut_out(whole, blocks, min_context)
    # Patches of the context first, in their order.
    order = jnp.argsort(~context, stable=True)[:num_context]
    present = context[order]
    places = jax.vmap(lambda c: _places(c, target, grid, length))(corners)
    return jnp.where(present, order, 0), present, places

  context, present, targets = jax.vmap(draw_row)(keys)
  counted = jnp.arange(length) < target.height * target.width
  return MultiBlock(context, present, targets, counted)


def fits(grid: Grid) -> bool:
  """Returns whether a target of the smallest share is a patch, and inside.

  Args:
    grid: (rows, columns) of patches.
  """
  return min(grid) >= 2 and grid[0] * grid[1] * TARGET_SCALE[0] >= 1


def max_target(grid: Grid) -> int:
  """Returns T, which no target of the grid exceeds.

  Args:
    grid: (rows, columns) of patches.
  """
  count = grid[0] * grid[1]
  (low, high), (flat, tall) = TARGET_SCALE, TARGET_ASPECT
  largest = 0
  for area in range(int(low * count), int(high * count) + 1):
    # One number sets size and shape, so each area has a range of shapes.
    u = (np.array([area, area + 1]) / count - low) / (high - low)
    first, last = flat + (tall - flat) * np.clip(u, 0, 1)
    # A little more: the drawn numbers are rounded to float32.
    height = min(round(math.sqrt(area * last) + 1e-3), grid[0] - 1)
    width = min(round(math.sqrt(area / first) + 1e-3), grid[1] - 1)
    largest = max(largest, height * width)
  return largest


def _size(
  key: jax.Array,
  grid: Grid,
  scale: tuple[float, float],
  aspect: tuple[float, float],
) -> _Size:
  # One number for both: large targets are tall ones.
  u = jax.random.uniform(key)
  area = jnp.floor(grid[0] * grid[1] * (scale[0] + u * (scale[1] - scale[0])))
  ratio = aspect[0] + u * (aspect[1] - aspect[0])
  height = jnp.round(jnp.sqrt(area * ratio)).astype(jnp.int32)
  width = jnp.round(jnp.sqrt(area / ratio)).astype(jnp.int32)
  return _Size(
    jnp.minimum(height, grid[0] - 1), jnp.minimum(width, grid[1] - 1)
  )


def _corner(key: jax.Array, size: _Size, grid: Grid) -> jax.Array:
  """Returns the row and column of a block's first patch, int32 [2]."""
  # The upper end is not drawn, and so never the last row or column reached.
  limit = jnp.array(grid) - jnp.stack(size)
  return jax.random.randint(key, (2,), 0, limit)


def _inside(corner: jax.Array, size: _Size, grid: Grid) -> jax.Array:
  """Returns the block as bool [N]."""
  rows = jnp.arange(grid[0]) - corner[0]
  columns = jnp.arange(grid[1]) - corner[1]
  rows = (rows >= 0) & (rows < size.height)
  columns = (columns >= 0) & (columns < size.width)
  return (rows[:, None] & columns[None]).reshape(-1)


def _places(
  corner: jax.Array, size: _Size, grid: Grid, length: int
) -> jax.Array:
  """Returns the places of a block's patches, int32 [T], 0 behind them."""
  at = jnp.arange(length)
  row, column = corner[0] + at // size.width, corner[1] + at % size.width
  counted = at < size.height * size.width
  return jnp.where(counted, row * grid[1] + column, 0)


def _cut_out(
  whole: jax.Array, blocks: jax.Array, min_context: int
) -> jax.Array:
  """Returns `whole` without as many of the blocks as leave enough of it."""
  # Row j is without the first j of them.
  taken = jnp.cumsum(blocks, axis=0) > 0
  contexts = jnp.concatenate([whole[None], whole[None] & ~taken])
  enough = contexts.sum(axis=1) > min_context
  # The last that is large enough; the whole block if none is.
  last = jnp.max(jnp.where(enough, jnp.arange(len(enough)), 0))
  return contexts[last]
