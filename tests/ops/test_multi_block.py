import functools
import math

import chex
import jax
import numpy as np
import pytest

from jaxssl.ops import multi_block

ROWS = 512
GRID = (14, 14)


_multi_block = jax.jit(
  multi_block.multi_block, static_argnums=2, static_argnames='num_context'
)


@functools.lru_cache
def _draw(step, rows=ROWS, num_context=196, min_context=10):
  keys = jax.random.split(jax.random.key(1), rows)
  return jax.device_get(
    _multi_block(
      jax.random.key(step),
      keys,
      GRID,
      num_context=num_context,
      min_context=min_context,
    )
  )


def _places(mask):
  """Context and targets of each row as sets of places."""
  contexts = [
    set(c[p].tolist()) for c, p in zip(mask.context, mask.present, strict=True)
  ]
  targets = [
    [set(block[mask.counted].tolist()) for block in row] for row in mask.targets
  ]
  return contexts, targets


def _reference(random, rows):
  """Numbers of patches of contexts and targets, as the paper's section 3."""
  u = random.random()
  area, ratio = int(196 * (0.15 + 0.05 * u)), 0.75 + 0.75 * u
  height, width = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
  side = min(round(int(196 * (0.85 + 0.15 * random.random())) ** 0.5), 13)
  counts = []
  for _ in range(rows):
    mask = np.zeros(GRID, bool)
    mask[:side, :side] = True
    for _ in range(4):
      top = random.integers(14 - height)
      left = random.integers(14 - width)
      mask[top : top + height, left : left + width] = False
    counts.append(mask.sum())
  return height * width, np.mean(counts)


@pytest.mark.parametrize('step', [0, 1])
def test_a_context_and_rectangles_that_it_does_not_contain(step):
  mask = _draw(step)
  contexts, targets = _places(mask)
  sizes = {len(block) for row in targets for block in row}
  assert sizes == {mask.counted.sum()}
  for context, blocks in zip(contexts, targets, strict=True):
    assert len(context) > 10
    assert not context & set.union(*blocks)
    # As in the authors' code, neither reaches the last row or column.
    for place in context.union(*blocks):
      assert place // 14 < 13
      assert place % 14 < 13
    for block in blocks:
      rows, columns = {p // 14 for p in block}, {p % 14 for p in block}
      assert len(rows) * len(columns) == len(block)
      assert max(rows) - min(rows) + 1 == len(rows)
      assert max(columns) - min(columns) + 1 == len(columns)
  assert (np.diff(mask.context[0][mask.present[0]]) > 0).all()


def test_sizes_and_counts_are_those_of_the_paper():
  random = np.random.default_rng(0)
  wanted = [_reference(random, 64) for _ in range(300)]
  drawn = [_draw(step, rows=64) for step in range(60)]
  sizes = [mask.counted.sum() for mask in drawn]
  counts = [mask.present.sum(1).mean() for mask in drawn]
  assert {*sizes} <= {size for size, _ in wanted}
  # Four deviations of the mean of 60 and 300 steps.
  np.testing.assert_allclose(
    np.mean(sizes), np.mean([s for s, _ in wanted]), atol=2
  )
  np.testing.assert_allclose(
    np.mean(counts), np.mean([c for _, c in wanted]), atol=4
  )


def test_places_are_uniform():
  mask = _draw(0)
  corners = mask.targets[:, :, 0].reshape(-1)
  rows, count = np.unique(corners // 14, return_counts=True)
  height = len({p // 14 for p in mask.targets[0, 0][mask.counted]})
  assert rows.tolist() == list(range(14 - height))
  expected = corners.size / len(rows)
  # Five deviations of a binomial count.
  assert np.abs(count - expected).max() < 5 * math.sqrt(expected)


def test_rows_follow_from_their_keys_and_sizes_from_the_step():
  keys = jax.random.split(jax.random.key(1), ROWS)
  alone = _multi_block(jax.random.key(0), keys[3:4], GRID, num_context=196)
  mask = _draw(0)
  chex.assert_trees_all_equal(alone.targets[0], mask.targets[3])
  chex.assert_trees_all_equal(alone.context[0], mask.context[3])
  assert len({_draw(s, rows=64).counted.sum() for s in range(60)}) > 2


def test_a_context_beyond_its_limit_is_cut_at_the_bottom():
  whole, cut = _draw(0), _draw(0, num_context=40)
  assert cut.context.shape == (ROWS, 40)
  for row in range(8):
    places = whole.context[row][whole.present[row]]
    kept = cut.context[row][cut.present[row]]
    np.testing.assert_array_equal(kept, places[:40])


def test_the_last_targets_stay_where_too_little_would_be_left():
  contexts, targets = _places(_draw(0, min_context=100))
  for context, blocks in zip(contexts, targets, strict=True):
    assert len(context) > 100
    # The first target is small enough to be cut out by itself.
    assert not context & blocks[0]
  assert any(c & b[3] for c, b in zip(contexts, targets, strict=True))


@pytest.mark.parametrize('grid', [(4, 4), (8, 8), (14, 14), (7, 20), (32, 32)])
def test_no_target_is_longer_than_its_array(grid):
  longest = 0
  for u in np.linspace(0, 1, 5000, dtype=np.float32):
    area = int(grid[0] * grid[1] * (0.15 + 0.05 * u))
    ratio = 0.75 + 0.75 * u
    height = min(round((area * ratio) ** 0.5), grid[0] - 1)
    width = min(round((area / ratio) ** 0.5), grid[1] - 1)
    longest = max(longest, height * width)
  assert longest <= multi_block.max_target(grid) <= 1.15 * longest + 2


def test_small_grids():
  assert multi_block.fits((4, 4))
  assert not multi_block.fits((2, 2))
  assert not multi_block.fits((1, 30))
