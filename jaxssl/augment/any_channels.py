"""Recipes for pictures of any number of channels.

A recipe is written for red, green and blue. Of its operations, crops, flips and
blurs take any channels. Colour is another matter: brightness and contrast mean
something of every channel, while gray, hue, saturation and solarizing say
something of colours, which other channels are not.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment import color, jitter
from jaxssl.augment.bands import RGB, Bands
from jaxssl.augment.preprocessing import Channels
from jaxssl.augment.view import Augment, Op, View


def random_brightness_contrast(
  key: jax.Array,
  image: jax.Array,
  *,
  brightness: float,
  contrast: float,
  prob: float = 1.0,
) -> jax.Array:
  """Changes brightness and contrast of all channels alike, in a random order.

  With probability `prob`: x -> clip(b x) and x -> clip(c x + (1 - c) m), where
  m is the mean of each channel, with b ~ U(max(0, 1 - brightness), 1 +
  brightness) and c likewise. `random_color_jitter` of kind `'tf'`, without
  saturation and hue, for any number of channels.

  Args:
    key: typed PRNG key.
    image: float [H, W, C] in [0, 1].
    brightness: half-width of the factor b.
    contrast: half-width of the factor c.
    prob: probability that anything changes.

  Returns:
    [H, W, C] in the dtype of `image`.
  """
  u = jax.random.uniform(key, (4,))
  b, c = (
    max(0.0, 1.0 - width) + u[i] * (1.0 + width - max(0.0, 1.0 - width))
    for i, width in enumerate((brightness, contrast))
  )
  x = image.astype(jnp.float32)
  changed = jnp.where(
    u[2] < 0.5, _contrast(_brightness(x, b), c), _brightness(_contrast(x, c), b)
  )
  return jnp.where(u[3] < prob, changed, x).astype(image.dtype)


def _brightness(image: jax.Array, factor: jax.Array) -> jax.Array:
  return jnp.clip(image * factor, 0.0, 1.0)


def _contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
  mean = image.mean(axis=(-3, -2), keepdims=True)
  return jnp.clip(factor * image + (1.0 - factor) * mean, 0.0, 1.0)


def _without_hue(arguments: Mapping[str, Any]) -> Op:
  """Returns the jitter of any channels for arguments of that of colours.

  An additive brightness becomes a factor: how much a channel is moved by a
  share of the range depends on where in it the channel happens to lie.
  """
  taken = inspect.signature(random_brightness_contrast).parameters
  kept = {name: arguments[name] for name in taken if name in arguments}
  return functools.partial(random_brightness_contrast, **kept)


# Operation of colours -> what takes its place; None: nothing.
_INSTEAD: dict[Any, Callable[[Mapping[str, Any]], Op] | None] = {
  jitter.random_color_jitter: _without_hue,
  color.random_gray: None,
  color.random_solarize: None,
}


def for_bands(
  augment: Augment,
  bands: Bands | None,
  *,
  mean: Channels | None = None,
  std: Channels | None = None,
) -> Augment:
  """Returns an augmentation for pictures of other channels than RGB.

  Of three channels, which are taken for red, green and blue, all stays. Of any
  other number a colour jitter becomes `random_brightness_contrast`, and what
  makes gray or solarizes is left out; operations that are not of this package
  stay.

  Args:
    augment: of a recipe.
    bands: of the pictures; None: 8-bit RGB.
    mean: of each channel; None: that of the recipe, which has one for any
      channels if it subtracts nothing.
    std: of each channel; the same.

  Raises:
    jaxssl.errors.UserError: if mean or deviation are missing, or have not a
      number per channel.
  """
  normal = {'mean': mean or augment.mean, 'std': std or augment.std}
  if bands is None or bands.channels == RGB:
    return dataclasses.replace(augment, bands=bands, **normal)
  for name, nothing in (('mean', 0.0), ('std', 1.0)):
    if set(normal[name]) == {nothing}:
      normal[name] = (nothing,) * bands.channels
    elif len(normal[name]) == RGB:
      raise errors.UserError(
        f'{name} of {bands.channels} channels is missing; give a number for '
        'each (jaxssl doctor measures them)'
      )
  views = tuple(map(_converted, augment.views))
  return dataclasses.replace(augment, views=views, bands=bands, **normal)


def left_out(augment: Augment) -> list[str]:
  """Returns what `for_bands` leaves out or changes, in words."""
  functions = {_function(op) for view in augment.views for op in view.ops}
  return [word for op, word in _WORDS.items() if op in functions]


_WORDS: dict[Any, str] = {
  jitter.random_color_jitter: 'hue and saturation',
  color.random_gray: 'gray',
  color.random_solarize: 'solarizing',
}


def _converted(view: View) -> View:
  ops = []
  for op in view.ops:
    if _function(op) not in _INSTEAD:
      ops.append(op)
    elif make := _INSTEAD[_function(op)]:
      ops.append(make(getattr(op, 'keywords', {})))
  return dataclasses.replace(view, ops=tuple(ops))


def _function(op: Op) -> Any:
  return op.func if isinstance(op, functools.partial) else op
