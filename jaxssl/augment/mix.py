"""Mixup and CutMix: rows of a batch are mixed with other rows of it."""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment.view import Batch
from jaxssl.parallel import collectives


class Rectangle(NamedTuple):
  """Rows [top, bottom) and columns [left, right) of an image, int32."""

  top: jax.Array
  bottom: jax.Array
  left: jax.Array
  right: jax.Array


def mixup(image: jax.Array, other: jax.Array, share: jax.Array) -> jax.Array:
  """Returns share * image + (1 - share) * other (arXiv 1710.09412).

  Args:
    image: [..., H, W, C].
    other: image or images of the same shape.
    share: share of `image`, in [0, 1].
  """
  return share * image + (1.0 - share) * other


def cut_rectangle(
  share: jax.Array, centre: tuple[jax.Array, jax.Array], size: tuple[int, int]
) -> Rectangle:
  """Returns the part of an image that CutMix replaces (arXiv 1905.04899).

  Its sides are sqrt(1 - share) of the image's, rounded down; what hangs over
  the border is cut off.

  Args:
    share: share of the image that stays, in [0, 1], before the border cuts.
    centre: (row, column) of its middle, int32.
    size: (height, width) of the image.
  """
  ratio = jnp.sqrt(1.0 - share)
  bounds = []
  for place, length in zip(centre, size, strict=True):
    side = (length * ratio).astype(jnp.int32)
    # Halves of an odd side differ by one; together they are the side.
    bounds.append(jnp.clip(place - side // 2, 0, length))
    bounds.append(jnp.clip(place + (side + 1) // 2, 0, length))
  return Rectangle(*bounds)


def cutmix(
  image: jax.Array, other: jax.Array, cut: Rectangle
) -> tuple[jax.Array, jax.Array]:
  """Puts the rectangle of `other` into `image`.

  Args:
    image: [H, W, 3].
    other: [H, W, 3].
    cut: what is replaced.

  Returns:
    The new image, and the share of its pixels that are `image`'s.
  """
  height, width, _ = image.shape
  rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None]
  inside = (rows >= cut.top) & (rows < cut.bottom)
  inside &= (columns >= cut.left) & (columns < cut.right)
  area = (cut.bottom - cut.top) * (cut.right - cut.left)
  return jnp.where(inside[..., None], other, image), 1.0 - area / inside.size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
  """Mixes every row of a batch with the row at the mirrored place.

  Row r of B meets row B - 1 - r. With probability 1/2 (or always, where the
  other is switched off) it is CutMix with a share ~ Beta(cutmix, cutmix), else
  mixup with a share ~ Beta(mixup, mixup). The share of CutMix is that of the
  pixels which are really left.

  Each row draws for itself from its own key, as timm's `Mixup` does with
  `mode='elem'`, so the result is the same for any number of devices. The
  authors of DeiT, BEiT and MAE draw once a batch (`mode='batch'`): a row's
  distribution is the same, but rows of a batch are not independent there.

  Attributes:
    augment: makes `views`, already normalised; the first one is mixed.
    mixup: α of mixup; 0: never.
    cutmix: α of CutMix; 0: never.

  References:
    timm/data/mixup.py of huggingface/pytorch-image-models.
  """

  augment: Callable[..., Batch]
  mixup: float = 0.8
  cutmix: float = 1.0

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    if min(self.mixup, self.cutmix) < 0 or not self.mixup + self.cutmix:
      raise errors.UserError(
        'mixup and cutmix must be at least 0, and one of them above, got '
        f'{self.mixup} and {self.cutmix}'
      )

  def __call__(
    self, key: jax.Array, batch: Batch, axis_name: str | None = None
  ) -> Batch:
    """Adds `views`, `label_share` and `other_label` to a batch.

    Args:
      key: typed PRNG key of this step, equal on all devices.
      batch: what `augment` takes, with `label` int32 [b].
      axis_name: mapped device axis, or None if `batch` is the global batch.

    Returns:
      The batch with one view, float32 [b, H, W, 3]; `other_label`, int32 [b],
      the label of the row that was mixed in; and `label_share`, float32 [b],
      how much of the view is the row's own. `label` is -1 where either label
      is unknown.
    """
    augment_key, mix_key = jax.random.split(key)
    batch = self.augment(augment_key, batch, axis_name)
    images, labels = batch['views'][0], batch['label']
    num_rows = len(images) * collectives.axis_size(axis_name)
    # Partners as in timm. Rows are drawn at random already.
    mirrored = jnp.arange(num_rows)[::-1]
    others = collectives.permute(images, mirrored, axis_name)
    other_labels = collectives.permute(labels, mirrored, axis_name)
    keys = collectives.row_keys(mix_key, len(images), axis_name)
    mixed, share = jax.vmap(self._mix_row)(keys, images, others)
    return {
      **batch,
      'views': (mixed,),
      'label': jnp.where(other_labels < 0, -1, labels),
      'other_label': other_labels,
      'label_share': share,
    }

  def _mix_row(
    self, key: jax.Array, image: jax.Array, other: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    kind_key, share_key, row_key, column_key = jax.random.split(key, 4)
    cut_prob = 0.5 if self.mixup and self.cutmix else float(self.cutmix > 0)
    is_cut = jax.random.bernoulli(kind_key, cut_prob)
    # Above 0: what is switched off is never drawn.
    alpha = jnp.where(is_cut, self.cutmix, self.mixup)
    share = jax.random.beta(share_key, alpha, alpha)
    height, width, _ = image.shape
    centre = (
      jax.random.randint(row_key, (), 0, height),
      jax.random.randint(column_key, (), 0, width),
    )
    # Both kinds are made and one is selected, as rows differ.
    cut = cut_rectangle(share, centre, (height, width))
    cut_image, cut_share = cutmix(image, other, cut)
    return (
      jnp.where(is_cut, cut_image, mixup(image, other, share)),
      jnp.where(is_cut, cut_share, share),
    )
