"""What an encoder says of each place of an image."""

from collections.abc import Mapping
from typing import Any

import jax

from jaxssl import errors


def spatial_map(
  out: Mapping[str, Any],
  image_shape: tuple[int, int],
  layer: str | None = None,
) -> jax.Array:
  """Returns a spatial map of an encoder.

  Args:
    out: intermediates of a `ViT` ('patches', 'block00', ...) or of a
      convolutional encoder ('stage1', 'stage2', ...).
    image_shape: (H, W) of the images.
    layer: which one; None: the patches after the final norm, or the last
      stage. Tokens that stand before the patches (class, registers) are left
      out.

  Returns:
    [b, h, w, C].

  Raises:
    UserError: the encoder has no such layer, or it is no map.
  """
  if layer is not None and layer not in out:
    raise errors.unknown('layer', layer, out)
  found = out[_last(out) if layer is None else layer]
  if found.ndim == 3 and 'patches' in out:
    rows, columns = _grid(out['patches'].shape[1], image_shape)
    patches = found[:, found.shape[1] - rows * columns :]
    return patches.reshape(len(found), rows, columns, found.shape[-1])
  if found.ndim != 4:
    raise errors.UserError(
      f'layer {layer!r} has one feature an image and none for its places; take '
      "a map, such as 'patches', 'block05' or 'stage3'"
    )
  return found


def _last(out: Mapping[str, Any]) -> str:
  if 'patches' in out:
    return 'patches'
  stages = sorted(name for name in out if name.startswith('stage'))
  if not stages:
    raise errors.UserError(
      "the encoder gives no spatial map ('patches' or 'stage1', ...); take a "
      'ResNet, a ConvNeXt or a ViT'
    )
  return stages[-1]


def _grid(count: int, image_shape: tuple[int, int]) -> tuple[int, int]:
  """Returns rows and columns of so many square patches of an image."""
  height, width = image_shape
  rows = round((count * height / width) ** 0.5)
  # Of an image that patches do not divide the rest is unseen; the nearest
  # number of rows that divides is the grid.
  rows = min(
    (n for n in range(1, count + 1) if count % n == 0),
    key=lambda n: abs(n - rows),
  )
  return rows, count // rows
