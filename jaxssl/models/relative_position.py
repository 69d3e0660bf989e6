"""Relative position bias of a grid of patches with a class token."""

from flax import linen as nn
import jax
import jax.numpy as jnp

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
    return _with_class_token(_pairs(patches, grid), table[:, -3:])[None]


def offsets(grid: tuple[int, int]) -> tuple[int, int]:
  """Returns how many different row and column offsets a grid has."""
  return 2 * grid[0] - 1, 2 * grid[1] - 1


def _pairs(table: jax.Array, grid: tuple[int, int]) -> jax.Array:
  """Returns the entry of each pair of patches, [heads, N, N].

  Entry (i, j) is for query i and key j; patches at row offset dy = y_i - y_j
  and column offset dx have entry (dy + h - 1) (2 w - 1) + dx + w - 1. Copied in
  rows that are shifted one against the next: the gradient of an index would be
  a scatter, which adds atomically on a GPU, as all pairs of an offset share its
  entry.

  Args:
    table: [heads, (2 h - 1) (2 w - 1)].
    grid: (h, w) of patches.
  """
  height, width = grid
  x = table.reshape(-1, *offsets(grid))
  x = jnp.moveaxis(_differences(x, width), 1, -1)  # [heads, w, w, 2 h - 1]
  x = _differences(x, height).transpose(0, 3, 1, 4, 2)  # [heads, h, w, h, w]
  return x.reshape(-1, height * width, height * width)


def _differences(x: jax.Array, size: int) -> jax.Array:
  """Returns y[..., i, j] = x[..., i - j + n - 1], from [2 n - 1] to [n, n]."""
  lead, step = x.shape[:-1], 2 * size - 1
  # Rows one longer than the step from one to the next: each starts earlier.
  row = jnp.pad(x[..., ::-1], [(0, 0)] * len(lead) + [(0, 1)])
  rows = jnp.broadcast_to(row[..., None, :], (*lead, size, step + 1))
  flat = rows.reshape(*lead, -1)[..., size - 1 : size - 1 + size * step]
  return flat.reshape(*lead, size, step)[..., :size]


def _with_class_token(pairs: jax.Array, entries: jax.Array) -> jax.Array:
  """Returns [heads, 1 + N, 1 + N], class token first.

  Args:
    pairs: [heads, N, N].
    entries: [heads, 3], see `RelativePositionBias`.
  """
  heads, count, _ = pairs.shape
  seen = jnp.broadcast_to(entries[:, 0, None, None], (heads, 1, count))
  seeing = jnp.broadcast_to(entries[:, 1, None, None], (heads, count, 1))
  top = jnp.concatenate([entries[:, 2, None, None], seen], axis=2)
  rest = jnp.concatenate([seeing, pairs], axis=2)
  return jnp.concatenate([top, rest], axis=1)
