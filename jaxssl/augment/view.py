"""From a batch of images as whole numbers to the views that a method sees."""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment import geometry
from jaxssl.augment.bands import Bands, num_channels
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import Channels
from jaxssl.parallel import collectives

Op = Callable[[jax.Array, jax.Array], jax.Array]
# Arrays by name, and tuples of them: `crops`, `views`.
Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
  """How one view is made: a crop, then operations in this order.

  Attributes:
    crop: the random crop, made on the host or on the device.
    size: side that the crop is made smaller to before the operations, with the
      filter of `crop`; None: it stays as it is. `Augment.keep_crops` then gives
      a method both.
    ops: functions `op(key, image) -> image` of one float32 image [S, S, C] in
      [0, 1], which stays in [0, 1]. Usually `functools.partial` of the
      `random_*` functions of this package; any other pure function will do.
  """

  crop: CropSpec
  ops: tuple[Op, ...] = ()
  size: int | None = None

  def cut(self, key: jax.Array, image: jax.Array) -> jax.Array:
    """Crops a whole image, uint8 or uint16 [H, W, C], to [S, S, C]."""
    return geometry.random_resized_crop(
      self._keys(key)[0], _to_float(image), spec=self.crop
    )

  def finish(self, key: jax.Array, crop: jax.Array) -> jax.Array:
    """Makes the view of its crop, float32 [S, S, C] in [0, 1]."""
    keys = self._keys(key)
    return self._apply_ops(keys, self._resized(crop))

  def _keys(self, key: jax.Array) -> jax.Array:
    # The first is the crop's, also where the host has made it: the operations
    # draw the same either way.
    return jax.random.split(key, 1 + len(self.ops))

  def _resized(self, crop: jax.Array) -> jax.Array:
    if self.size is None:
      return crop
    whole = geometry.Box(0, 0, *crop.shape[:2])
    smaller = geometry.crop_and_resize(
      crop, whole, size=self.size, interpolation=self.crop.interpolation
    )
    return jnp.clip(smaller, 0.0, 1.0)  # the filter overshoots at edges

  def _apply_ops(self, keys: jax.Array, image: jax.Array) -> jax.Array:
    for index, op in enumerate(self.ops):
      image = op(keys[1 + index], image)
    return image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
  """Makes the views of a batch on the accelerator, inside the train step.

  Pure: the views are a function of key, image and the row's position in the
  global batch, so they do not depend on the number of devices or the compile
  mode.

  Attributes:
    views: one entry per view.
    mean: subtracted from each channel of an image in [0, 1].
    std: then divides each channel.
    keep_pixels: whether batches get `pixels` too, the first view in [0, 1]
      before mean and deviation (what a tokenizer sees).
    keep_crops: of so many first views batches get `whole` too, their crops as
      they are before `View.size` and the operations, normalised.
    bands: channels of the images and how files are read; None: 8-bit RGB.

  Raises:
    jaxssl.errors.UserError: mean or deviation have not a number per channel.
  """

  views: tuple[View, ...]
  mean: Channels = (0.0, 0.0, 0.0)
  std: Channels = (1.0, 1.0, 1.0)
  keep_pixels: bool = False
  keep_crops: int = 0
  bands: Bands | None = None

  def __post_init__(self) -> None:
    count = num_channels(self.bands)
    for name, values in (('mean', self.mean), ('std', self.std)):
      if len(values) != count:
        raise errors.UserError(
          f'{name} is {values}; give a number per channel, of {count}'
        )

  @property
  def crops(self) -> tuple[CropSpec, ...]:
    """The crop of each view, for an input pipeline that makes them itself."""
    return tuple(view.crop for view in self.views)

  def __call__(
    self, key: jax.Array, batch: Batch, axis_name: str | None = None
  ) -> Batch:
    """Adds `views` to a batch.

    Args:
      key: typed PRNG key of this step, equal on all devices.
      batch: holds `image`, uint8 or uint16 [b, H, W, C], or `crops`, one
        [b, S_v, S_v, C] a view, which wins.
      axis_name: mapped device axis, or None if `batch` is the global batch.

    Returns:
      `batch` with `views`: one float32 [b, S_v, S_v, C] a view, normalised;
      with `keep_pixels`, `pixels`: float32 [b, S_0, S_0, C] in [0, 1]; with
      `keep_crops`, `whole`: crops of the first views, normalised.

    Raises:
      jaxssl.errors.UserError: the crops are not those of `self.crops`, or the
        batch holds no images.
    """
    crops, views = [], []
    for index, view in enumerate(self.views):
      rows, cut = self._rows(index, view, batch)
      # By view and by place in the global batch: other views and other numbers
      # of devices change nothing.
      keys = collectives.row_keys(
        jax.random.fold_in(key, index), len(rows), axis_name
      )
      crops.append(jax.vmap(cut)(keys, rows))
      views.append(jax.vmap(view.finish)(keys, crops[-1]))
    # A tokenizer has a mean and deviation of its own.
    kept = {'pixels': views[0]} if self.keep_pixels else {}
    if self.keep_crops:
      kept['whole'] = tuple(map(self._normalize, crops[: self.keep_crops]))
    return {**batch, **kept, 'views': tuple(map(self._normalize, views))}

  def normalize(self, images: jax.Array) -> jax.Array:
    """Returns images [..., C] as the encoder sees them, float32."""
    return self._normalize(_to_float(images))

  def denormalize(self, views: jax.Array) -> jax.Array:
    """Returns normalised images [..., C] as stored ones, to look at.

    8 bits, or with `bands` 16.
    """
    images = views * _channels(self.std, views) + _channels(self.mean, views)
    dtype = jnp.uint8 if self.bands is None else jnp.uint16
    largest = float(jnp.iinfo(dtype).max)
    return jnp.round(jnp.clip(images, 0.0, 1.0) * largest).astype(dtype)

  def _normalize(self, images: jax.Array) -> jax.Array:
    return (images - _channels(self.mean, images)) / _channels(self.std, images)

  def _rows(
    self, index: int, view: View, batch: Batch
  ) -> tuple[jax.Array, Callable[[jax.Array, jax.Array], jax.Array]]:
    """Returns the rows of a view and the function that makes a crop of one."""
    if 'crops' not in batch:
      if 'image' not in batch:
        raise errors.UserError(
          "a batch must hold 'image' or 'crops'; it holds "
          + ', '.join(sorted(batch))
        )
      return batch['image'], view.cut
    sizes = tuple(crop.shape[1:3] for crop in batch['crops'])
    expected = tuple((crop.size, crop.size) for crop in self.crops)
    if sizes != expected:
      raise errors.UserError(
        f'the batch holds crops of {sizes} pixels; the views need {expected}'
      )
    return batch['crops'][index], lambda key, crop: _to_float(crop)


def _to_float(images: jax.Array) -> jax.Array:
  if images.dtype not in (jnp.uint8, jnp.uint16):
    raise errors.UserError(
      f'images must be uint8 or uint16, not {images.dtype}'
    )
  return images.astype(jnp.float32) / float(jnp.iinfo(images.dtype).max)


def _channels(values: tuple[float, ...], like: jax.Array) -> jax.Array:
  """Returns a constant that broadcasts against the last axis of `like`."""
  shape = (1,) * (like.ndim - 1) + (len(values),)
  return jnp.array(values, jnp.float32).reshape(shape)
