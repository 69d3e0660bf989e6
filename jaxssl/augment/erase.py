"""Random erasing: a rectangle of noise hides a part of the image."""

from collections.abc import Callable
import dataclasses
import math

import jax
import jax.numpy as jnp

from jaxssl.augment.view import Batch
from jaxssl.fields import Fraction, check_fields
from jaxssl.parallel import collectives

_ATTEMPTS = 10
_AREA = (0.02, 1 / 3)
_LOG_RATIO = (math.log(0.3), math.log(1 / 0.3))


def random_erase(key: jax.Array, image: jax.Array, *, prob: float) -> jax.Array:
  """Puts noise from N(0, 1) into a random rectangle (arXiv 1708.04896).

  Its area is 2 to 33 % of the image's, the logarithm of its height / width
  uniform in ±log 0.3; the first of 10 attempts that is smaller than the image
  in both directions is taken, none if none is. timm's `RandomErasing` in the
  mode 'pixel'; the other modes are not here.

  Args:
    key: PRNG key.
    image: normalised, float32 [H, W, 3].
    prob: probability to erase.
  """
  height, width, _ = image.shape
  erase_key, area_key, ratio_key, place_key, noise_key = jax.random.split(
    key, 5
  )
  # All attempts at once: a loop until one fits has no end that is known.
  area = height * width * _uniform(area_key, *_AREA)
  ratio = jnp.exp(_uniform(ratio_key, *_LOG_RATIO))
  h = jnp.round(jnp.sqrt(area * ratio)).astype(jnp.int32)
  w = jnp.round(jnp.sqrt(area / ratio)).astype(jnp.int32)
  fits = (h < height) & (w < width)
  # The first that fits; 0 where none does, which `inside` leaves out.
  first = jnp.argmax(fits)
  h, w = h[first], w[first]
  top, left = jax.random.randint(
    place_key, (2,), 0, jnp.stack([height - h + 1, width - w + 1])
  )
  rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None]
  inside = (rows >= top) & (rows < top + h)
  inside &= (columns >= left) & (columns < left + w)
  inside &= fits[first] & jax.random.bernoulli(erase_key, prob)
  # For all pixels, as the rectangle has no static size.
  noise = jax.random.normal(noise_key, image.shape, image.dtype)
  return jnp.where(inside[..., None], noise, image)


def _uniform(key: jax.Array, low: float, high: float) -> jax.Array:
  return jax.random.uniform(key, (_ATTEMPTS,), minval=low, maxval=high)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Erase:
  """Erases a part of the first view, behind normalisation, as timm does.

  Attributes:
    augment: makes `views`, normalised.
    prob: probability to erase a row.
  """

  augment: Callable[..., Batch]
  prob: Fraction = 0.25

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def __call__(
    self, key: jax.Array, batch: Batch, axis_name: str | None = None
  ) -> Batch:
    """Returns what `augment` makes, with the first view erased in part.

    Args:
      key: typed PRNG key of this step, equal on all devices.
      batch: what `augment` takes.
      axis_name: mapped device axis, or None if `batch` is the global batch.
    """
    augment_key, erase_key = jax.random.split(key)
    batch = self.augment(augment_key, batch, axis_name)
    first, *others = batch['views']
    # By the place in the global batch, as the views.
    keys = collectives.row_keys(erase_key, len(first), axis_name)
    erased = jax.vmap(
      lambda key, image: random_erase(key, image, prob=self.prob)
    )(keys, first)
    return {**batch, 'views': (erased, *others)}
