"""The shapes of a training batch, known before any record is read."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxssl.augment.bands import RGB, Bands
from jaxssl.augment.crop_spec import CropSpec


def pixel_type(bands: Bands | None) -> tuple[int, type[np.generic]]:
  """Returns the number of channels of pictures, and the type of a value."""
  return (RGB, np.uint8) if bands is None else (bands.channels, np.uint16)


def batch_shapes(
  rows: int,
  *,
  crops: Sequence[CropSpec] = (),
  bands: Bands | None = None,
  image_size: int | None = None,
  text_length: int | None = None,
  captions: int = 1,
) -> dict[str, Any]:
  """Returns what `train_batches` yields, as the device sees it.

  Args:
    rows: number of rows b.
    crops: those made on the host; without them there are whole pictures.
    bands: how pictures are read; None: as 8-bit RGB.
    image_size: side S of whole pictures in pixels; not used with `crops`.
    text_length: number of token ids L of a caption; None for no text.
    captions: captions K of a row.

  Returns:
    `jax.ShapeDtypeStruct`s: `image` uint8 [b, S, S, 3], or `crops`, a tuple of
    uint8 [b, S_v, S_v, 3], with `bands` uint16 of C channels; `label` int32
    [b]; with text, `text` int32 [b, L], or [b, K, L] of several captions.
  """
  channels, dtype = pixel_type(bands)

  def pictures(side: int | None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, side, side, channels), dtype)

  batch: dict[str, Any] = {'label': jax.ShapeDtypeStruct((rows,), np.int32)}
  if crops:
    batch['crops'] = tuple(pictures(crop.size) for crop in crops)
  else:
    batch['image'] = pictures(image_size)
  if text_length is not None:
    each = () if captions == 1 else (captions,)
    batch['text'] = jax.ShapeDtypeStruct((rows, *each, text_length), np.int32)
  return batch
