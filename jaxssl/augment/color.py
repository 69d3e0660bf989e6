"""Colour changes of one image, in torchvision's and in TensorFlow's meaning.

Images are float [H, W, 3] in [0, 1], of any float dtype; arithmetic is float32;
results are clipped to [0, 1] and have the dtype of the image. The caller vmaps.

The two families agree in hue and in multiplicative brightness and differ, by up
to 0.35, in contrast and saturation: torchvision and Pillow blend with a gray
version, TensorFlow scales about the mean of each channel and in HSV space.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxssl.augment import planes as planes_lib
from jaxssl.augment.planes import Planes


def adjust_brightness(image: jax.Array, factor: ArrayLike) -> jax.Array:
  """Returns clip(factor * image).

  torchvision's `adjust_brightness`, and SimCLR's brightness 'simclrv2'.
  """
  return _apply(scale_brightness, image, factor)


def adjust_brightness_additive(image: jax.Array, delta: ArrayLike) -> jax.Array:
  """Returns clip(image + delta).

  `tf.image.adjust_brightness`: BYOL's, and SimCLR's brightness 'simclrv1'.
  """
  return _apply(shift_brightness, image, delta)


def adjust_contrast(image: jax.Array, factor: ArrayLike) -> jax.Array:
  """Returns clip(factor * image + (1 - factor) * mean luma of the image).

  torchvision's `adjust_contrast` for float images.
  """
  return _apply(blend_contrast, image, factor)


def adjust_contrast_tf(image: jax.Array, factor: ArrayLike) -> jax.Array:
  """Returns clip(factor * image + (1 - factor) * mean of each channel).

  `tf.image.adjust_contrast`.
  """
  return _apply(channel_contrast, image, factor)


def adjust_saturation(image: jax.Array, factor: ArrayLike) -> jax.Array:
  """Returns clip(factor * image + (1 - factor) * luma of each pixel).

  torchvision's `adjust_saturation` for float images.
  """
  return _apply(blend_saturation, image, factor)


def adjust_saturation_tf(image: jax.Array, factor: ArrayLike) -> jax.Array:
  """Scales the saturation of HSV by `factor`, at most to 1.

  `tf.image.adjust_saturation`.
  """
  return _apply(hsv_saturation, image, factor)


def adjust_hue(image: jax.Array, delta: ArrayLike) -> jax.Array:
  """Turns the hue of HSV by `delta`, a share of the circle.

  torchvision's `adjust_hue` for float images and `tf.image.adjust_hue`.
  """
  return _apply(turn_hue, image, delta)


def rgb_to_gray(image: jax.Array) -> jax.Array:
  """Returns ITU-R 601 luma, 0.2989 R + 0.587 G + 0.114 B, in three channels."""
  gray = planes_lib.luma(planes_lib.split(image))
  return planes_lib.join((gray, gray, gray), image.dtype)


def random_gray(
  key: jax.Array, image: jax.Array, *, prob: float = 0.2
) -> jax.Array:
  """Turns the image gray with probability `prob`.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    prob: probability, in [0, 1].
  """
  return jnp.where(jax.random.bernoulli(key, prob), rgb_to_gray(image), image)


def solarize(image: jax.Array, threshold: float) -> jax.Array:
  """Inverts what is not below the threshold: x if x < threshold else 1 - x.

  Pillow's default 128 of 255 is `threshold=128 / 255`; the 0.5 of BYOL does the
  same to pixels that are multiples of 1 / 255.
  """
  return jnp.where(image < threshold, image, 1 - image)


def random_solarize(
  key: jax.Array,
  image: jax.Array,
  *,
  prob: float = 0.2,
  threshold: float = 0.5,
) -> jax.Array:
  """Solarizes the image with probability `prob`.

  Args:
    key: typed PRNG key.
    image: float32 [H, W, 3] in [0, 1].
    prob: probability, in [0, 1].
    threshold: values from it on are inverted, in [0, 1].
  """
  apply = jax.random.bernoulli(key, prob)
  return jnp.where(apply, solarize(image, threshold), image)


def _apply(
  operation: Callable[[Planes, jax.Array], Planes],
  image: jax.Array,
  amount: ArrayLike,
) -> jax.Array:
  changed = operation(planes_lib.split(image), jnp.float32(amount))
  return planes_lib.join(changed, image.dtype)


def scale_brightness(planes: Planes, factor: jax.Array) -> Planes:
  """`adjust_brightness` on planes; factor 1 changes nothing."""
  red, green, blue = (jnp.clip(x * factor, 0.0, 1.0) for x in planes)
  return red, green, blue


def shift_brightness(planes: Planes, delta: jax.Array) -> Planes:
  """`adjust_brightness_additive` on planes; delta 0 changes nothing."""
  red, green, blue = (jnp.clip(x + delta, 0.0, 1.0) for x in planes)
  return red, green, blue


def blend_contrast(planes: Planes, factor: jax.Array) -> Planes:
  """`adjust_contrast` on planes; factor 1 changes nothing."""
  mean = jnp.mean(planes_lib.luma(planes), axis=(-2, -1), keepdims=True)
  return planes_lib.blend(planes, (mean, mean, mean), factor)


def channel_contrast(planes: Planes, factor: jax.Array) -> Planes:
  """`adjust_contrast_tf` on planes; factor 1 changes nothing."""
  red, green, blue = (jnp.mean(x, (-2, -1), keepdims=True) for x in planes)
  return planes_lib.blend(planes, (red, green, blue), factor)


def blend_saturation(planes: Planes, factor: jax.Array) -> Planes:
  """`adjust_saturation` on planes; factor 1 changes nothing."""
  gray = planes_lib.luma(planes)
  return planes_lib.blend(planes, (gray, gray, gray), factor)


def hsv_saturation(planes: Planes, factor: jax.Array) -> Planes:
  """`adjust_saturation_tf` on planes; factor 1 changes nothing.

  HSV keeps V = max and hue, so scaling S = (max - min) / max is a blend with
  max, whose factor stops where S reaches 1, that is min = 0.
  """
  value, chroma = _value_and_chroma(planes)
  # Gray has no saturation: nothing to scale, nothing to divide by.
  limit = value / jnp.where(chroma > 0.0, chroma, 1.0)
  factor = jnp.where(chroma > 0.0, jnp.minimum(factor, limit), 1.0)
  return planes_lib.blend(planes, (value, value, value), factor)


def turn_hue(planes: Planes, delta: jax.Array) -> Planes:
  """`adjust_hue` on planes."""
  red, green, blue = planes
  value, chroma = _value_and_chroma(planes)
  # Gray has no hue: any will do, as chroma 0 leaves it as it is.
  scale = 1.0 / jnp.where(chroma > 0.0, chroma, 1.0)
  # In sixths of the circle. Comparisons are exact: `value` is one of them.
  sixths = jnp.where(
    value == red,
    (green - blue) * scale,
    jnp.where(
      value == green,
      (blue - red) * scale + 2.0,
      (red - green) * scale + 4.0,
    ),
  )
  sixths = sixths + 6.0 * delta
  # Back into [0, 6).
  sixths = sixths - 6.0 * jnp.floor(sixths / 6.0)
  low = value - chroma
  return (
    low + chroma * jnp.clip(jnp.abs(sixths - 3.0) - 1.0, 0.0, 1.0),
    low + chroma * jnp.clip(2.0 - jnp.abs(sixths - 2.0), 0.0, 1.0),
    low + chroma * jnp.clip(2.0 - jnp.abs(sixths - 4.0), 0.0, 1.0),
  )


def _value_and_chroma(planes: Planes) -> tuple[jax.Array, jax.Array]:
  red, green, blue = planes
  value = jnp.maximum(jnp.maximum(red, green), blue)
  return value, value - jnp.minimum(jnp.minimum(red, green), blue)
