"""Rotary positions of a grid of patches (RoPE), as DINOv3 has them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Rotation(NamedTuple):
  """Sines and cosines of the angles of patches.

  Attributes:
    sin: float32 [1 or b, N, 1, d].
    cos: float32 [1 or b, N, 1, d].
  """

  sin: jax.Array
  cos: jax.Array


class Noise(NamedTuple):
  """How far coordinates are moved in training; None: not at all.

  Attributes:
    shift: S; each axis is moved by U(-S, S).
    jitter: J; each axis is scaled by exp(U(-log J, log J)).
    rescale: R; both axes are scaled by one such number of R.
  """

  shift: float | None = None
  jitter: float | None = None
  rescale: float | None = None


def coordinates(grid: tuple[int, int]) -> np.ndarray:
  """Returns (y, x) of the centres of patches in [-1, 1], float32 [1, N, 2].

  Each axis has its own scale, so that the outer edges are -1 and 1.

  Args:
    grid: (rows, columns) of patches; N is their product, in reading order.
  """
  y, x = (
    2.0 * (np.arange(size) + 0.5).astype(np.float32) / np.float32(size) - 1.0
    for size in grid
  )
  places = np.stack(np.meshgrid(y, x, indexing='ij'), axis=-1)
  return places.reshape(1, -1, 2).astype(np.float32)


def moved(places: jax.Array, noise: Noise, keys: jax.Array) -> jax.Array:
  """Returns coordinates as training sees them, float32 [b, N, 2].

  First the shift, then the jitter, then the rescaling. DINOv3 draws once for a
  batch; here each picture has its own draw, so that the result does not depend
  on the number of devices.

  Args:
    places: coordinates [1, N, 2].
    noise: ranges.
    keys: typed PRNG keys [b].
  """

  def move(key: jax.Array) -> jax.Array:
    # A key for each kind: one that is switched on leaves the others as they
    # were.
    keys, found = jax.random.split(key, 3), places[0]
    if noise.shift is not None:
      found += noise.shift * jax.random.uniform(keys[0], (1, 2), minval=-1.0)
    if noise.jitter is not None:
      found *= noise.jitter ** jax.random.uniform(keys[1], (1, 2), minval=-1.0)
    if noise.rescale is not None:
      found *= noise.rescale ** jax.random.uniform(keys[2], (), minval=-1.0)
    return found

  return jax.vmap(move)(keys)


def rotation(places: jax.Array, *, head_dim: int, base: float) -> Rotation:
  """Computes the angles of patches, `2 pi c / base^(4 j / d)`.

  For the coordinates c = y, then x, and j in [0, d / 4): d / 2 angles, one for
  each pair of channels i and i + d / 2.

  Source: Simeoni et al. 2025 (arXiv 2508.10104), `RopePositionEmbedding`.

  Args:
    places: coordinates float32 [1 or b, N, 2].
    head_dim: d, channels of a head; divisible by 4.
    base: ratio of the largest period to the smallest, but for one step.
  """
  steps = 4.0 * np.arange(head_dim // 4) / head_dim
  frequencies = (2.0 * np.pi * base**-steps).astype(np.float32)
  angles = jnp.einsum('bnc,j->bncj', places, frequencies, precision='highest')
  angles = angles.reshape(*places.shape[:2], 1, head_dim // 2)
  # Channels i and i + d / 2 are a pair, which turns by one angle.
  angles = jnp.concatenate([angles, angles], axis=-1)
  return Rotation(jnp.sin(angles), jnp.cos(angles))


def rotate(x: jax.Array, turn: Rotation) -> jax.Array:
  """Rotates the last N tokens, which are patches; others stay.

  Args:
    x: queries or keys [b, P + N, heads, d].
    turn: angles of N patches.
  """
  prefix = x.shape[1] - turn.sin.shape[1]
  # In float32: rotations should keep lengths, which 8 bits do not.
  patches = x[:, prefix:].astype(jnp.float32)
  first, second = jnp.split(patches, 2, axis=-1)
  turned = jnp.concatenate([-second, first], axis=-1)
  sin, cos = (jnp.broadcast_to(t, patches.shape) for t in turn)
  rotated = (patches * cos + turned * sin).astype(x.dtype)
  return jnp.concatenate([x[:, :prefix], rotated], axis=1)
