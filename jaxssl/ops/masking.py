"""Which patches a method hides: at random (MAE), or in blocks (BEiT, iBOT)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

_ATTEMPTS = 10  # tries for one block, as the authors'


class RandomMask(NamedTuple):
  """A random choice of K of the N patches of each row.

  Attributes:
    keep: int32 [b, K], the visible patches, in random order.
    restore: int32 [b, N]; patch i is at place `restore[i]` of the visible
      patches followed by the hidden ones.
    hidden: bool [b, N], True where a patch is hidden.
  """

  keep: jax.Array
  restore: jax.Array
  hidden: jax.Array


def mask_by_noise(noise: jax.Array, num_keep: int) -> RandomMask:
  """Keeps the patches with the smallest noise.

  Source: `random_masking` of facebookresearch/mae, models_mae.py.

  Args:
    noise: [b, N], for example uniform.
    num_keep: K.
  """
  shuffle = jnp.argsort(noise, axis=1)
  # The argsort of a permutation is its inverse: the rank of each patch.
  restore = jnp.argsort(shuffle, axis=1)
  return RandomMask(shuffle[:, :num_keep], restore, restore >= num_keep)


def row_noise(keys: jax.Array, num_patches: int) -> jax.Array:
  """Returns uniform noise in [0, 1), float32 [b, N], for `mask_by_noise`.

  Args:
    keys: typed PRNG keys [b], one per row.
    num_patches: N.
  """
  return jax.vmap(lambda key: jax.random.uniform(key, (num_patches,)))(keys)


class _Blocks(NamedTuple):
  """State of the search for blocks: the mask, and tries since it grew."""

  mask: jax.Array
  hidden: jax.Array
  failures: jax.Array
  tries: jax.Array


def block_mask(
  key: jax.Array,
  grid: tuple[int, int],
  *,
  num_masked: jax.Array | float,
  min_block: int = 16,
  min_aspect: float = 0.3,
) -> jax.Array:
  """Hides overlapping rectangles until `num_masked` patches are hidden.

  With r patches still to hide, a block has area a ~ U(min_block, r), aspect
  log q ~ U(log min_aspect, -log min_aspect), height round(sqrt(a q)), width
  round(sqrt(a / q)), both smaller than the grid, at a uniform place; it is
  taken if it hides at least 1 and at most r new patches. After 10 tries in a
  row without a block the search ends, so the number of hidden patches varies:
  at most `num_masked`, for 75 of 14x14 about 74.5 in the mean.

  Source: Bao et al. 2021 (arXiv 2106.08254), algorithm 1, as in
  beit/masking_generator.py of microsoft/unilm (a block is at most what is left
  to hide, and once r < min_block its area is between r and min_block).

  Args:
    key: typed PRNG key of one row; map over rows with `jax.vmap`.
    grid: (rows, columns) of patches.
    num_masked: largest number of hidden patches; need not be whole.
    min_block: smallest area of a block, in patches.
    min_aspect: smallest height / width of a block; the largest is its inverse.

  Returns:
    bool [rows columns], True where a patch is hidden.
  """

  def unfinished(state: _Blocks) -> jax.Array:
    return (state.hidden < num_masked) & (state.failures < _ATTEMPTS)

  def attempt(state: _Blocks) -> _Blocks:
    # Mapped over rows the loop runs until the last row is done; rows that are
    # done keep their state.
    left = num_masked - state.hidden
    block, fits = _draw_block(
      jax.random.fold_in(key, state.tries), grid, left, min_block, min_aspect
    )
    grown = state.mask | block
    new = grown.sum() - state.hidden
    taken = fits & (new > 0) & (new <= left)
    return _Blocks(
      mask=jnp.where(taken, grown, state.mask),
      hidden=jnp.where(taken, state.hidden + new, state.hidden),
      failures=jnp.where(taken, 0, state.failures + 1),
      tries=state.tries + 1,
    )

  zero = jnp.zeros((), jnp.int32)
  start = _Blocks(jnp.zeros(grid, bool), zero, zero, zero)
  return jax.lax.while_loop(unfinished, attempt, start).mask.reshape(-1)


def ratio_mask(
  key: jax.Array,
  grid: tuple[int, int],
  *,
  share: float,
  ratio: tuple[float, float],
  min_block: int,
) -> jax.Array:
  """Hides blocks of a random share of the patches, of some pictures only.

  With probability `share`, r N of the N patches are hidden by `block_mask` with
  r ~ U(ratio), otherwise none.

  Source: Zhou et al. 2021 (arXiv 2111.07832), as in loader.py of
  bytedance/ibot, whose ratios 0 and 0.3 with variances 0 and 0.2 are a share of
  0.5 and (0.1, 0.5) here.

  Args:
    key: typed PRNG key of one row; map over rows with `jax.vmap`.
    grid: (rows, columns) of patches.
    share: probability that there is a mask.
    ratio: least and largest share of the patches that a mask hides.
    min_block: smallest area of a block, in patches.

  Returns:
    bool [rows columns], True where a patch is hidden; at most
    `most_hidden(grid, ratio)` of them.
  """
  share_key, ratio_key, block_key = jax.random.split(key, 3)
  low, high = ratio
  drawn = jax.random.uniform(ratio_key, minval=low, maxval=high)
  is_masked = jax.random.bernoulli(share_key, share)
  return block_mask(
    block_key,
    grid,
    num_masked=jnp.where(is_masked, drawn * grid[0] * grid[1], 0.0),
    min_block=min_block,
  )


def most_hidden(grid: tuple[int, int], ratio: tuple[float, float]) -> int:
  """Returns how many patches `ratio_mask` hides at most, at least 1."""
  return max(int(ratio[1] * grid[0] * grid[1]), 1)


def _draw_block(
  key: jax.Array,
  grid: tuple[int, int],
  left: jax.Array,
  min_block: int,
  min_aspect: float,
) -> tuple[jax.Array, jax.Array]:
  """Returns a rectangle as bool [rows, columns], and whether it fits in."""
  rows, columns = grid
  area_key, aspect_key, top_key, start_key = jax.random.split(key, 4)
  # `uniform` would put its ends in order; the area may run downwards.
  share = jax.random.uniform(area_key)
  area = min_block + share * (left - min_block)
  bound = -math.log(min_aspect)
  aspect = jnp.exp(jax.random.uniform(aspect_key, minval=-bound, maxval=bound))
  height = jnp.round(jnp.sqrt(area * aspect)).astype(jnp.int32)
  width = jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)
  top = _below(top_key, rows - height + 1)
  first = _below(start_key, columns - width + 1)
  inside_rows = _between(jnp.arange(rows), top, height)
  inside_columns = _between(jnp.arange(columns), first, width)
  block = inside_rows[:, None] & inside_columns[None, :]
  return block, (height < rows) & (width < columns)


def _below(key: jax.Array, limit: jax.Array) -> jax.Array:
  # A block larger than the grid is placed somewhere, too, and not taken.
  return jax.random.randint(key, (), 0, jnp.maximum(limit, 1))


def _between(
  positions: jax.Array, first: jax.Array, length: jax.Array
) -> jax.Array:
  return (positions >= first) & (positions < first + length)
