"""Relative position bias of a grid of patches with a class token."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.models import positions


class RelativePositionBias(nn.Module):
  """A learned number for each head and offset between two patches, from 0.

  The table has one entry for each of the (2 h - 1) (2 w - 1) offsets and three
  more: class token to patch, patch to class token, class token to itself. It
  is stored as [heads, entries], the transpose of timm's and transformers'
  `relative_position_bias_table`, as all matrices here are.

  Source: Bao et al. 2021 (arXiv 2106.08254); `RelativePositionBias` in
  beit/modeling_finetune.py of microsoft/unilm.

  Attributes:
    num_heads: attention heads.
    grid: (h, w) of patches that the table is stored for.
  """

  num_heads: int
  grid: tuple[int, int]

  @nn.compact
  def __call__(self, grid: tuple[int, int]) -> jax.Array:
    """Returns what is added to the attention logits of these patches.

    Args:
      grid: (rows, columns) of patches; offsets of another grid than the
        stored one are interpolated (`positions.interpolate`).

    Returns:
      float32 [1, heads, 1 + N, 1 + N], class token first.
    """
    old, new = offsets(self.grid), offsets(grid)
    shape = (self.num_heads, old[0] * old[1] + 3)
    table = self.param(
      'relative_position_bias_table', nn.initializers.zeros, shape, jnp.float32
    )
    # Offsets lie on a grid and are interpolated as positions are; the three
    # entries of the class token are of no offset.
    patches = positions.interpolate(table[:, :-3].T, old, new).T
    table = jnp.concatenate([patches, table[:, -3:]], axis=1)
    # Its gradient is a scatter: all pairs of an offset share its entry.
    return table[:, bias_index(grid)][None]


def offsets(grid: tuple[int, int]) -> tuple[int, int]:
  """Returns how many different row and column offsets a grid has."""
  return 2 * grid[0] - 1, 2 * grid[1] - 1


def bias_index(grid: tuple[int, int]) -> np.ndarray:
  """Returns the entry of the table for each pair of tokens.

  Entry (i, j) is for query i and key j; patches at row offset dy = y_i - y_j
  and column offset dx have entry (dy + h - 1) (2 w - 1) + dx + w - 1.

  Args:
    grid: (h, w) of patches.

  Returns:
    int64 [1 + N, 1 + N], class token first.
  """
  y, x = (axis.reshape(-1) for axis in np.mgrid[: grid[0], : grid[1]])
  rows, columns = offsets(grid)
  dy = y[:, None] - y[None] + grid[0] - 1
  dx = x[:, None] - x[None] + grid[1] - 1
  index = np.zeros((len(y) + 1,) * 2, np.int64)
  index[1:, 1:] = dy * columns + dx
  index[0, :] = rows * columns
  index[:, 0] = rows * columns + 1
  index[0, 0] = rows * columns + 2
  return index
