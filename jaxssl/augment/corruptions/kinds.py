"""The kinds of ImageNet-C by name, on batches.

Hendrycks and Dietterich 2019 (arXiv:1903.12261), after the authors' programs
(hendrycks/robustness). 14 of the 15 kinds are computed here; `frost` is not.

Differs from the authors' images:

- values are rounded, once and to the nearest 1/255, where theirs are rounded
  down, for some kinds between steps too, and then saved as JPEG (224 and 64
  pixels);
- `elastic_transform` samples exactly, where OpenCV places the tilted image in
  steps of 1/32 of a pixel;
- any image size: the numbers are those of the nearest published one.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment.corruptions import (
  blurs,
  digital,
  jpeg,
  noise,
  severities,
  weather,
)

# (key, image float32 [H, W, 3], *numbers) -> [H, W, 3], not clipped.
KINDS: dict[str, Callable[..., jax.Array]] = {
  'gaussian_noise': noise.gaussian_noise,
  'shot_noise': noise.shot_noise,
  'impulse_noise': noise.impulse_noise,
  'defocus_blur': blurs.defocus_blur,
  'glass_blur': blurs.glass_blur,
  'motion_blur': blurs.motion_blur,
  'zoom_blur': blurs.zoom_blur,
  'snow': weather.snow,
  'fog': weather.fog,
  'brightness': weather.brightness,
  'contrast': digital.contrast,
  'elastic_transform': digital.elastic_transform,
  'pixelate': digital.pixelate,
  'jpeg_compression': jpeg.jpeg_compression,
}
_ABSENT = {
  'frost': "it needs the authors' photographs of frost, which do not ship",
}
_SMALLEST = 16


def check(kind: str, severity: int) -> None:
  """Checks names before any work.

  Raises:
    jaxssl.errors.UserError: if the kind is unknown or not computed here, or
      the severity is not 1 to 5.
  """
  if kind in _ABSENT:
    raise errors.UserError(f'{kind} is not computed: {_ABSENT[kind]}')
  if kind not in KINDS:
    raise errors.unknown('corruption', kind, KINDS)
  # Of any size: only the severity is checked here.
  severities.numbers(kind, severity, size=min(severities.PUBLISHED))


@functools.partial(jax.jit, static_argnames=('kind', 'severity'))
def corrupt(
  keys: jax.Array, images: jax.Array, *, kind: str, severity: int
) -> jax.Array:
  """Corrupts images; the result of a row depends on its key and image alone.

  Args:
    keys: typed PRNG keys, one per row, [b].
    images: uint8 [b, H, W, 3].
    kind: name in `KINDS`.
    severity: 1 to 5.

  Returns:
    uint8 [b, H, W, 3].

  Raises:
    jaxssl.errors.UserError: as `check`, and for images below 16 pixels, for
      which the blurs have no meaning.
  """
  check(kind, severity)
  size = min(images.shape[1:3])
  if size < _SMALLEST:
    raise errors.UserError(
      f'images of {size} pixels are too small to corrupt; {_SMALLEST} or more'
    )
  numbers = severities.numbers(kind, severity, size=size)

  def one(key: jax.Array, image: jax.Array) -> jax.Array:
    changed = KINDS[kind](key, image.astype(jnp.float32) / 255.0, *numbers)
    # To the nearest: rounded down, all images would lose half a level.
    return jnp.round(255.0 * jnp.clip(changed, 0.0, 1.0)).astype(jnp.uint8)

  return jax.vmap(one)(keys, images)
