"""Colour jitter: four colour changes in a random order.

Each row of a batch has its own order. A switch over four operations at four
places would run all sixteen under vmap, four of them hue, the dearest. Instead
every row runs one fixed schedule in which each of the 24 orders is contained,
with the operations that are not its own set to change nothing.
"""

import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.augment import color
from jaxssl.augment import planes as planes_lib

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)

# Hue once, contrast (which needs a mean of the image) twice. Any order of the
# other three is contained on either side of the hue.
_HALF = (
    _BRIGHTNESS, _SATURATION, _BRIGHTNESS,
    _CONTRAST,
    _BRIGHTNESS, _SATURATION, _BRIGHTNESS,
)  # fmt: skip
_SCHEDULE = (*_HALF, _HUE, *_HALF)
_ORDERS = np.array(list(itertools.permutations(range(4))))

# Brightness, contrast, saturation, hue on planes; amounts that change nothing.
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
_TF_ADDITIVE = (color.shift_brightness, *_TF[1:])
_KINDS = {
  'torchvision': (_TORCHVISION, (1.0, 1.0, 1.0, 0.0)),
  'tf': (_TF, (1.0, 1.0, 1.0, 0.0)),
  'tf_additive': (_TF_ADDITIVE, (0.0, 1.0, 1.0, 0.0)),
}

Kind = Literal['torchvision', 'tf', 'tf_additive']


def _active_slots() -> np.ndarray:
  """Returns which slots of the schedule each order uses, bool [24, slots]."""
  active = np.zeros((len(_ORDERS), len(_SCHEDULE)), bool)
  for row, order in zip(active, _ORDERS, strict=True):
    slot = -1
    for operation in order:
      slot = _SCHEDULE.index(operation, slot + 1)
      row[slot] = True
  return active


_ACTIVE = _active_slots()


def color_jitter(
  image: jax.Array,
  amounts: jax.Array,
  order: jax.Array,
  *,
  kind: Kind = 'torchvision',
) -> jax.Array:
  """Changes brightness, contrast, saturation and hue, in one of 24 orders.

  Every operation clips to [0, 1].

  Args:
    image: float [H, W, 3] in [0, 1].
    amounts: float [4]: brightness factor (a shift for `'tf_additive'`),
      contrast factor, saturation factor, shift of hue in turns.
    order: int scalar in [0, 24): number of the order among the permutations of
      (brightness, contrast, saturation, hue) in lexicographic order.
    kind: whose arithmetic, see `random_color_jitter`.

  Returns:
    [H, W, 3] in the dtype of `image`.

  Raises:
    jaxssl.errors.UserError: unknown kind.
  """
  if kind not in _KINDS:
    raise errors.unknown('colour jitter', kind, _KINDS)
  operations, neutral = _KINDS[kind]
  active = jnp.asarray(_ACTIVE)[order]
  planes = planes_lib.split(image)
  for slot, index in enumerate(_SCHEDULE):
    amount = jnp.where(active[slot], amounts[index], neutral[index])
    planes = operations[index](planes, amount)
  return planes_lib.join(planes, image.dtype)


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
  u = jax.random.uniform(key, (6,))
  low, high = _ranges(brightness, contrast, saturation, hue, kind)
  amounts = low + u[:4] * (high - low)
  order = (u[4] * len(_ORDERS)).astype(jnp.int32)
  jittered = color_jitter(image, amounts, order, kind=kind)
  return jnp.where(u[5] < prob, jittered, image)


def _check_strengths(brightness, contrast, saturation, hue) -> None:
  if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
    raise errors.UserError(
      'colour jitter strengths must be >= 0 and hue at most 0.5, not '
      f'{(brightness, contrast, saturation, hue)}'
    )


def _ranges(brightness, contrast, saturation, hue, kind):
  """Returns lowest and highest amounts, float32 [4] each."""
  factors = np.array([brightness, contrast, saturation])
  low = np.array([*np.maximum(1 - factors, 0), -hue], np.float32)
  high = np.array([*(1 + factors), hue], np.float32)
  if kind == 'tf_additive':
    low[0], high[0] = -brightness, brightness
  return low, high
