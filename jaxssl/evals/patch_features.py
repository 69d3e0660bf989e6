"""An encoder as a function of windows: one feature for each patch.

"Patch" is a patch of a vision transformer, or a place of the map of a
convolutional encoder.
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors, finite
from jaxssl.augment.preprocessing import Interpolation, Preprocessing
from jaxssl.evals import features
from jaxssl.evals.features import Encode
from jaxssl.ops.patches import patchify


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchEncoder:
  """A frozen encoder for square windows.

  Attributes:
    encode: uint8 [b, S, S, 3] -> float32 [b, S / stride, S / stride, D].
    size: S, side of a window in pixels.
    stride: pixels between neighbouring patches.
    interpolation: filter with which its pictures are resized.
  """

  encode: Encode
  size: int
  stride: int
  interpolation: Interpolation = 'bicubic'

  @property
  def side(self) -> int:
    """Patches in a row of a window."""
    return self.size // self.stride

  def __call__(self, images: np.ndarray) -> jax.Array:
    """Returns the features of windows.

    Raises:
      jaxssl.errors.UserError: if one is not finite.
    """
    found = self.encode(images)
    finite.require_rows(found.reshape(len(found), -1), 'patch features')
    return found


def stride_of(
  encoder: Any, variables: Any, rule: Preprocessing, layer: str | None
) -> int:
  """Returns how many pixels lie between neighbouring patches.

  Args:
    encoder: see `features.encode_fn`.
    variables: see there; their shapes are enough.
    rule: how its images are prepared.
    layer: an intermediate in place of its last map.

  Raises:
    jaxssl.errors.UserError: if the encoder or the layer has no map.
  """
  rows = features.map_side(encoder, variables, layer, rule=rule)
  own = getattr(encoder, 'patch_size', None)
  # Convolutions halve maps and round up: 100 pixels are 4 places of 32.
  return own or 2 ** round(np.log2(rule.image_size / rows))


def window_of(size: int, stride: int) -> int:
  """Returns the side of windows: the largest up to `size` of whole patches.

  Raises:
    jaxssl.errors.UserError: if not one patch fits.
  """
  if size < stride:
    raise errors.UserError(
      f'a window of {size} pixels has no whole patch of {stride}; give a '
      'larger --size'
    )
  return size // stride * stride


def raw_colors(stride: int) -> Encode:
  """Returns the baseline that has learned nothing: the pixels of each patch.

  Args:
    stride: p, side of a patch.

  Returns:
    uint8 or uint16 [b, S, S, C] -> float32 [b, S / p, S / p, C p²] in [0, 1].
  """

  @jax.jit
  def encode(images: jax.Array) -> jax.Array:
    side = images.shape[1] // stride
    largest = float(jnp.iinfo(images.dtype).max)
    found = patchify(images.astype(jnp.float32) / largest, stride)
    return found.reshape(len(images), side, side, -1)

  return encode


def in_batches(
  encode: Callable[[np.ndarray], Any],
  windows: Iterable[np.ndarray],
  *,
  batch_size: int,
) -> Iterator[np.ndarray]:
  """Yields what a function makes of each window, called for full batches.

  The last batch is filled with black windows, so that one program is compiled.

  Args:
    encode: uint8 [b, S, S, 3] -> [b, ...].
    windows: uint8 [S, S, 3] each.
    batch_size: b.
  """
  windows = iter(windows)
  while some := list(itertools.islice(windows, batch_size)):
    stacked = np.stack(some)
    missing = [(0, batch_size - len(some))] + [(0, 0)] * (stacked.ndim - 1)
    yield from np.asarray(encode(np.pad(stacked, missing)))[: len(some)]
