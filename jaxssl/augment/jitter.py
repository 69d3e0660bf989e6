"""Colour jitter: four colour changes in a random order, its own in each row."""

from collections.abc import Callable, Sequence
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.augment import color
from jaxssl.augment import planes as planes_lib
from jaxssl.augment.planes import Planes
from jaxssl.augment.rowwise import rowwise

_ORDERS = np.array(list(itertools.permutations(range(4))), np.int32)

# Brightness, contrast, saturation and hue on planes.
_TORCHVISION = (
  color.scale_brightness,
  color.blend_contrast,
  color.blend_saturation,
  color.turn_hue,
)
_TF = (
  color.scale_brightness,
  color.channel_contrast,
  color.hsv_saturation,
  color.turn_hue,
)
_KINDS = {
  'torchvision': _TORCHVISION,
  'tf': _TF,
  'tf_additive': (color.shift_brightness, *_TF[1:]),
}

Kind = Literal['torchvision', 'tf', 'tf_additive']


def color_jitter(
  image: jax.Array,
  amounts: jax.Array,
  order: jax.Array,
  *,
  kind: Kind = 'torchvision',
) -> jax.Array:
  """Changes brightness, contrast, saturation and hue, in a given order.

  Every operation clips to [0, 1].

  Args:
    image: float [H, W, 3] in [0, 1].
    amounts: float [4]: brightness factor (a shift for `'tf_additive'`),
      contrast factor, saturation factor, shift of hue in turns.
    order: int [4], a permutation: 0 brightness, 1 contrast, 2 saturation,
      3 hue; the first entry is done first.
    kind: whose arithmetic, see `random_color_jitter`.

  Returns:
    [H, W, 3] in the dtype of `image`.

  Raises:
    jaxssl.errors.UserError: unknown kind.
  """
  if kind not in _KINDS:
    raise errors.unknown('colour jitter', kind, _KINDS)
  return _JITTERS[kind](True, image, amounts, order)


_Operation = Callable[[Planes, jax.Array], Planes]


def _jitter_of(operations: Sequence[_Operation]) -> Callable[..., jax.Array]:
  """Returns `jitter(apply, image, amounts, order)` made of operations."""

  def branch(index: int) -> Callable[[Planes, jax.Array], Planes]:
    return lambda planes, amounts: operations[index](planes, amounts[index])

  branches = [branch(index) for index in range(4)]

  def change(
    image: jax.Array, amounts: jax.Array, order: jax.Array
  ) -> jax.Array:
    planes = planes_lib.split(image)
    for position in range(4):
      # Under `vmap` each place computes all four and selects; row by row
      # (`rowwise`, on a CPU) only the one that was drawn.
      planes = jax.lax.switch(order[position], branches, planes, amounts)
    return planes_lib.join(planes, image.dtype)

  @rowwise
  def jitter(
    apply: jax.Array, image: jax.Array, amounts: jax.Array, order: jax.Array
  ) -> jax.Array:
    return jax.lax.cond(
      apply, change, lambda image, *_: image, image, amounts, order
    )

  return jitter


_JITTERS = {kind: _jitter_of(ops) for kind, ops in _KINDS.items()}


def random_color_jitter(
  key: jax.Array,
  image: jax.Array,
  *,
  brightness: float,
  contrast: float,
  saturation: float,
  hue: float,
  prob: float = 1.0,
  kind: Kind = 'torchvision',
) -> jax.Array:
  """Applies `color_jitter` with random amounts and order.

  With probability `prob`: factors ~ U(max(0, 1 - x), 1 + x) for brightness,
  contrast and saturation x; shift of hue ~ U(-hue, hue); all 24 orders equally
  likely. `kind`:

  * `'torchvision'`: `torchvision.transforms.v2.ColorJitter` on float images.
  * `'tf'`: `tf.image`'s contrast, saturation and hue, multiplicative
    brightness; 'simclrv2' in data_util.py of google-research/simclr.
  * `'tf_additive'`: the same with brightness shifted by U(-x, x); 'simclrv1'
    there, and BYOL's augmentations.py in google-deepmind/deepmind-research.

  Args:
    key: PRNG key.
    image: float [H, W, 3] in [0, 1].
    brightness: half-width of the brightness factor or shift.
    contrast: half-width of the contrast factor.
    saturation: half-width of the saturation factor.
    hue: half-width of the shift of hue, in turns, at most 0.5.
    prob: probability that anything changes.
    kind: whose arithmetic.

  Returns:
    [H, W, 3] in the dtype of `image`.

  Raises:
    jaxssl.errors.UserError: a strength out of range or an unknown kind.
  """
  _check_strengths(brightness, contrast, saturation, hue)
  if kind not in _KINDS:
    raise errors.unknown('colour jitter', kind, _KINDS)
  # One draw for all: each call of the generator costs.
  u = jax.random.uniform(key, (6,))
  low, high = _ranges(brightness, contrast, saturation, hue, kind)
  amounts = low + u[:4] * (high - low)
  order = jnp.asarray(_ORDERS)[(u[4] * len(_ORDERS)).astype(jnp.int32)]
  return _JITTERS[kind](u[5] < prob, image, amounts, order)


def _check_strengths(
  brightness: float, contrast: float, saturation: float, hue: float
) -> None:
  if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
    raise errors.UserError(
      'colour jitter strengths must be >= 0 and hue at most 0.5, not '
      f'{(brightness, contrast, saturation, hue)}'
    )


def _ranges(
  brightness: float, contrast: float, saturation: float, hue: float, kind: str
) -> tuple[np.ndarray, np.ndarray]:
  """Returns lowest and highest amounts, float32 [4] each."""
  factors = np.array([brightness, contrast, saturation])
  # A factor below 0 would invert the picture.
  low = np.array([*np.maximum(1 - factors, 0), -hue], np.float32)
  high = np.array([*(1 + factors), hue], np.float32)
  if kind == 'tf_additive':
    low[0], high[0] = -brightness, brightness
  return low, high
