"""Where a vision transformer looks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.data.shown import show_like
from jaxssl.methods.base import PyTree
from jaxssl.models.class_attention import class_attention
from jaxssl.models.vit import ViT
from jaxssl.pictures.panel import Column, Panel

_MIX = 0.65  # share of the heat over the gray image


def attention_panel(
  encoder: ViT,
  variables: PyTree,
  normalize: Callable[[jax.Array], jax.Array],
  images: np.ndarray,
) -> Panel:
  """Draws the attention of the class token in the last block, head by head.

  Args:
    encoder: with a class token.
    variables: its Flax variables.
    normalize: uint8 images to what the encoder takes.
    images: uint8 [n, H, W, 3].

  Raises:
    jaxssl.errors.UserError: no class token, or matplotlib is not installed.
  """
  x = normalize(jnp.asarray(images))
  grid = encoder.grid_of(x)
  weights = jax.jit(lambda v, x: class_attention(encoder, v, x))(variables, x)
  weights = np.asarray(weights)[:, :, -grid[0] * grid[1] :]
  maps = weights.reshape(*weights.shape[:2], *grid)
  images = show_like(images)(images)
  columns = [
    Column(title='image', images=images),
    Column(title='mean of heads', images=overlay(images, maps.mean(axis=1))),
  ]
  columns += [
    Column(title=f'head {head + 1}', images=overlay(images, maps[:, head]))
    for head in range(maps.shape[1])
  ]
  return Panel(
    name='attention',
    title='Attention of the class token, last block',
    text='How much the class token of the last block takes from each patch: '
    'the softmax weights of each head, and their mean. Each map has its own '
    'scale, from its smallest weight (dark) to its largest (bright), so '
    'brightness does not compare between maps.',
    columns=columns,
  )


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
  """Lays heat maps over gray images.

  Args:
    images: uint8 [n, H, W, 3].
    maps: float [n, rows, columns]; rows divide H, columns W.

  Returns:
    uint8 [n, H, W, 3]; each map is stretched to the whole scale of colours.

  Raises:
    jaxssl.errors.UserError: if matplotlib is not installed.
  """
  try:
    from matplotlib import colormaps
  except ImportError as error:
    raise errors.UserError(
      'pictures need matplotlib: pip install "jaxssl[pictures]"'
    ) from error
  low = maps.min(axis=(1, 2), keepdims=True)
  high = maps.max(axis=(1, 2), keepdims=True)
  scaled = (maps - low) / np.maximum(high - low, 1e-12)
  for axis in (1, 2):
    scaled = scaled.repeat(images.shape[axis] // maps.shape[axis], axis=axis)
  heat = colormaps['inferno'](scaled)[..., :3] * 255
  gray = images.mean(axis=-1, keepdims=True)
  return np.round(_MIX * heat + (1 - _MIX) * gray).astype(np.uint8)
