"""Histograms of oriented gradients (Dalal and Triggs, 2005)."""

import jax
import jax.numpy as jnp

NUM_BINS = 9
# Below it a histogram stays as it is, as in PyTorch's `normalize`.
_EPSILON = 1e-12


def histograms(images: jax.Array, cell: int) -> jax.Array:
  """Returns how strong the edges of each direction are, by cell and channel.

  Sobel's differences of every channel, with the rim reflected; a pixel adds the
  length of its gradient to the one of nine bins of [0, π) that its direction,
  without a sign, falls into. The histogram of each cell and channel is made a
  unit vector.

  Nothing depends on the size of the values: a channel may be multiplied by a
  number, or have one added.

  Args:
    images: float32 [b, H, W, C].
    cell: side of a cell in pixels, which divides H and W.

  Returns:
    float32 [b, H / cell, W / cell, C, 9]; of cells without edges zero.
  """
  batch, height, width, channels = images.shape
  # Differences first: equal neighbours then cancel to the bit.
  x = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='reflect')
  down = _smooth(x[:, :-2] - x[:, 2:], axis=2)
  right = _smooth(x[:, :, :-2] - x[:, :, 2:], axis=1)
  angle = jnp.arctan2(right, down) / jnp.pi * NUM_BINS
  # From [-9, 9]: opposite directions are one.
  bins = jnp.floor(angle).astype(jnp.int32) % NUM_BINS
  length = jnp.sqrt(right**2 + down**2)
  # A sum over all pixels instead of a scatter.
  votes = jax.nn.one_hot(bins, NUM_BINS) * length[..., None]
  rows, columns = height // cell, width // cell
  votes = votes.reshape(batch, rows, cell, columns, cell, channels, NUM_BINS)
  sums = votes.sum((2, 4))
  norm = jnp.sqrt((sums**2).sum(-1, keepdims=True))
  return sums / jnp.maximum(norm, _EPSILON)


def _smooth(x: jax.Array, axis: int) -> jax.Array:
  """Adds (1, 2, 1) along an axis, which gets shorter by two."""
  size = x.shape[axis]
  before, here, after = (
    jax.lax.slice_in_dim(x, start, size - 2 + start, axis=axis)
    for start in range(3)
  )
  return before + 2 * here + after
