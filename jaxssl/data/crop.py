"""Boxes of random crops, and resizing, on the host.

Boxes are drawn in the TensorFlow graph, where the size of a picture is known
before it is decoded. Pillow resizes, or for training what `resizers` offers
besides. Both hold Python's lock only to copy pixels in and out.
"""

from collections.abc import Callable
import functools
from typing import Any

import numpy as np

from jaxssl.augment.crop_spec import CropSpec, Resizer
from jaxssl.augment.crop_spec import Interpolation as OfCrops
from jaxssl.augment.preprocessing import Interpolation, Preprocessing
from jaxssl.data import resizers
from jaxssl.data.optional import require, tensorflow

_ATTEMPTS = 10
# So many times taller than wide, a picture is a strip.
_STRIP = 16
# Pixels of a resized picture above which only its centre is computed.
_LARGE = 1 << 24


def random_box(spec: CropSpec, size: Any, key: Any) -> Any:
  """Draws the box of a random crop.

  Args:
    spec: what to draw.
    size: int32 [2], height and width of the picture.
    key: int64 [2], seed of this draw.

  Returns:
    int32 [4]: top, left, height, width.
  """
  if spec.rule == 'tf':
    return _tensorflow_box(spec, size, key)
  return _torchvision_box(spec, size, key)


def _torchvision_box(spec: CropSpec, size: Any, key: Any) -> Any:
  """`RandomResizedCrop.get_params`: ten attempts, then a central crop.

  area ~ U(scale) HW; ratio = exp(U(ln low, ln high)); w = round(sqrt(area
  ratio)), h = round(sqrt(area / ratio)); accepted if 0 < w <= W, 0 < h <= H.
  """
  tf = tensorflow()
  draws = tf.random.stateless_uniform(
    [2 * _ATTEMPTS + 2], key, alg='philox', dtype=tf.float32
  )
  limits = tf.cast(size, tf.float32)
  low, high = spec.scale
  area = limits[0] * limits[1] * (low + (high - low) * draws[:_ATTEMPTS])
  low, high = (tf.math.log(tf.constant(x, tf.float32)) for x in spec.ratio)
  ratio = tf.exp(low + (high - low) * draws[_ATTEMPTS : 2 * _ATTEMPTS])
  sides = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio], axis=1)))
  fits = tf.reduce_all((sides > 0) & (sides <= limits), axis=1)
  first = tf.argmax(tf.cast(fits, tf.int32))
  room = limits - sides[first]
  # A draw just below 1 must not round up to one place too many.
  corner = tf.minimum(tf.floor(draws[-2:] * (room + 1)), room)
  drawn = tf.cast(tf.concat([corner, sides[first]], axis=0), tf.int32)
  return tf.where(fits[first], drawn, _central_box(spec, limits))


def _central_box(spec: CropSpec, limits: Any) -> Any:
  tf = tensorflow()
  height, width = limits[0], limits[1]
  low, high = spec.ratio
  width = tf.minimum(width, tf.round(height * high))
  height = tf.minimum(height, tf.round(limits[1] / low))
  sides = tf.stack([height, width])
  corner = tf.floor((limits - sides) / 2)
  return tf.cast(tf.concat([corner, sides], axis=0), tf.int32)


def _tensorflow_box(spec: CropSpec, size: Any, key: Any) -> Any:
  """SimCLR's call of `sample_distorted_bounding_box`."""
  tf = tensorflow()
  begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
    tf.concat([size, [3]], axis=0),
    tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
    key,
    min_object_covered=0.1,
    aspect_ratio_range=spec.ratio,
    area_range=spec.scale,
    max_attempts=100,
    use_image_if_no_bounding_boxes=True,
  )
  return tf.concat([begin[:2], extent[:2]], axis=0)


def union(boxes: list[Any]) -> Any:
  """Returns the smallest box around several boxes, int32 [4] each."""
  tf = tensorflow()
  stacked = tf.stack(boxes)
  corner = tf.reduce_min(stacked[:, :2], axis=0)
  end = tf.reduce_max(stacked[:, :2] + stacked[:, 2:], axis=0)
  return tf.concat([corner, end - corner], axis=0)


def resize(
  image: np.ndarray,
  size: int,
  *,
  interpolation: OfCrops,
  resizer: Resizer = 'pillow',
) -> np.ndarray:
  """Resizes a picture to a square, antialiased.

  Args:
    image: uint8 [h, w, 3], or of Pillow uint16 [h, w, C].
    size: side S of the output.
    interpolation: filter.
    resizer: the library.

  Returns:
    [S, S, C] in the type of `image`; by Pillow of uint8 what torchvision makes
    of a Pillow image bit for bit.
  """
  if resizer == 'cykooz':
    make = functools.partial(
      resizers.cykooz, size=size, interpolation=interpolation
    )
    return _unturned(make, image)
  return _square(image, size, interpolation)


def _square(
  image: np.ndarray, size: int, interpolation: Interpolation
) -> np.ndarray:
  make = functools.partial(
    _resize, size=(size, size), interpolation=interpolation
  )
  return _unturned(make, image)


def _unturned(
  make: Callable[[np.ndarray], np.ndarray], image: np.ndarray
) -> np.ndarray:
  if image.shape[0] > _STRIP * image.shape[1]:
    # Of a tall strip, rows first would make S columns of all its height. (That
    # is what Pillow did before version 13, which takes the cheaper order.)
    return make(image.swapaxes(0, 1)).swapaxes(0, 1)
  return make(image)


def resize_to(
  image: np.ndarray, size: tuple[int, int], *, interpolation: Interpolation
) -> np.ndarray:
  """Resizes a picture to any height and width by Pillow, antialiased.

  Args:
    image: uint8 [h, w, 3], or uint16 of C channels.
    size: height and width of the output.
    interpolation: filter.

  Returns:
    [*size, C] of the same type.
  """
  return _resize(image, (size[1], size[0]), interpolation)


def prepare(image: np.ndarray, rule: Preprocessing) -> np.ndarray:
  """Resizes a whole picture and cuts out its centre, as evaluation sees it.

  Args:
    image: uint8 [h, w, 3], or uint16 [h, w, C].
    rule: sides, filter and place of the cut; mean and deviation are not used.

  Returns:
    [S, S, C] in the type of `image`; of uint8 what torchvision's `Resize` and
    `CenterCrop` make of a Pillow image bit for bit. Where the resized picture
    would have more than 16.8 million pixels (strips), only its centre is
    computed: the same but for rounding, as Pillow then may resize columns
    before rows.
  """
  size = rule.image_size
  height, width = rule.resized(*image.shape[:2])
  top, left = rule.corner(height), rule.corner(width)
  if height * width > _LARGE:
    return _resize(
      image,
      (size, size),
      rule.interpolation,
      _box(image.shape[:2], (height, width), (top, left), size),
    )
  if rule.resize == 'squash':
    resized = _square(image, width, rule.interpolation)
  else:
    resized = _resize(image, (width, height), rule.interpolation)
  return resized[top : top + size, left : left + size]


def _box(
  stored: tuple[int, ...],
  resized: tuple[int, int],
  corner: tuple[int, int],
  size: int,
) -> tuple[float, float, float, float]:
  """Returns left, top, right, bottom of the cut in stored pixels."""
  (top, bottom), (left, right) = (
    (begin * old / new, min((begin + size) * old / new, old))
    for old, new, begin in zip(stored, resized, corner, strict=True)
  )
  return left, top, right, bottom


def _resize(
  image: np.ndarray,
  size: tuple[int, int],
  interpolation: Interpolation,
  box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
  pil = require('PIL.Image', extra='data')
  kernel = pil.Resampling[interpolation.upper()]
  if image.dtype == np.uint8:
    return np.asarray(pil.fromarray(image).resize(size, kernel, box))
  # Pillow has no mode of many channels: each is resized by itself, as float32,
  # which holds 16 bits, and rounded once; of 8 bits Pillow rounds in between.
  channels = [
    np.asarray(pil.fromarray(channel).resize(size, kernel, box))
    for channel in np.moveaxis(image.astype(np.float32), -1, 0)
  ]
  whole = np.rint(np.stack(channels, axis=-1)).clip(0, 65535)
  return whole.astype(np.uint16)
