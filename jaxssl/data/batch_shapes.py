"""The shapes of a training batch, known before any record is read."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxssl.augment.crop_spec import CropSpec


def batch_shapes(
  rows: int,
  *,
  crops: Sequence[CropSpec] = (),
  image_size: int | None = None,
  text_length: int | None = None,
) -> dict[str, Any]:
  """Returns what `train_batches` yields, as the device sees it.

  Args:
    rows: number of rows b.
    crops: those made on the host; without them there are whole pictures.
    image_size: side S of whole pictures in pixels; not used with `crops`.
    text_length: number of token ids L of a caption; None for no text.

  Returns:
    `jax.ShapeDtypeStruct`s: `image` uint8 [b, S, S, 3], or `crops`, a tuple of
    uint8 [b, S_v, S_v, 3]; `label` int32 [b]; with text, `text` int32 [b, L].
  """

  def pictures(side: int | None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, side, side, 3), np.uint8)

  batch: dict[str, Any] = {'label': jax.ShapeDtypeStruct((rows,), np.int32)}
  if crops:
    batch['crops'] = tuple(pictures(crop.size) for crop in crops)
  else:
    batch['image'] = pictures(image_size)
  if text_length is not None:
    batch['text'] = jax.ShapeDtypeStruct((rows, text_length), np.int32)
  return batch
