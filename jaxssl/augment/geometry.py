"""Where to crop, how to resample, flips.

Every function takes one image [H, W, 3]; the caller vmaps. Boxes are integers,
in pixels of the image, and may be traced; output sizes are static.
"""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxssl import errors
from jaxssl.augment.crop_spec import CropSpec

# Attempts of the two reference rules; drawn at once, the first that fits wins.
_TORCHVISION_ATTEMPTS = 10
_TF_ATTEMPTS = 100
# SimCLR passes the whole image as the object that a crop has to cover.
_TF_MIN_COVERED = 0.1


class Box(NamedTuple):
  """A box of pixels: int32 scalars, rows `top` to `top + height - 1`."""

  top: jax.Array | int
  left: jax.Array | int
  height: jax.Array | int
  width: jax.Array | int


def flip_left_right(image: jax.Array) -> jax.Array:
  """Mirrors the columns of an image [H, W, C]."""
  return image[:, ::-1]


def random_flip_left_right(
  key: jax.Array, image: jax.Array, *, prob: float = 0.5
) -> jax.Array:
  """Mirrors the image with probability `prob`.

  Args:
    key: typed PRNG key.
    image: [H, W, C].
    prob: probability, in [0, 1].
  """
  flip = jax.random.bernoulli(key, prob)
  # Both are made: a branch of each row is a selection under `vmap`.
  return jnp.where(flip, flip_left_right(image), image)


def crop_and_resize(
  image: jax.Array,
  box: Box,
  *,
  size: int | tuple[int, int],
  interpolation: Literal['bilinear', 'bicubic'] = 'bilinear',
  antialias: bool = True,
) -> jax.Array:
  """Cuts a box out and resamples it, as separable weights W_y X W_xᵀ.

  Pixels outside the box are not seen. With `antialias` the filter widens when
  the box shrinks: Pillow's and torchvision's resize of the cut-out box. Without
  it, `tf.image.resize` of the box. Bicubic is Keys' with a = -0.5 in all three.
  Nothing is rounded to 8 bits on the way and bicubic overshoot is not clipped.

  Args:
    image: float [H, W, C].
    box: where to cut, inside the image; may be traced.
    size: output side, or (height, width).
    interpolation: `'bilinear'` or `'bicubic'`.
    antialias: widen the filter when shrinking.

  Returns:
    [height, width, C] in the dtype of `image`, computed in float32.

  Raises:
    jaxssl.errors.UserError: unknown interpolation.
  """
  if interpolation not in _KERNELS:
    raise errors.unknown('interpolation', interpolation, _KERNELS)
  height, width = (size, size) if isinstance(size, int) else size
  axes = (
    _Axis(image.shape[0], height, interpolation, antialias),
    _Axis(image.shape[1], width, interpolation, antialias),
  )
  multiply = functools.partial(_multiply, axes=axes)
  resized = jax.lax.platform_dependent(
    image.astype(jnp.float32),
    # A box of integers becomes arrays, which alone may be passed on.
    *map(jnp.float32, box),
    cpu=(
      functools.partial(_add_taps, axes=axes)
      if all(axis.is_sparse for axis in axes)
      else multiply
    ),
    default=multiply,
  )
  return resized.astype(image.dtype)


class _Axis(NamedTuple):
  """One axis of a resampling: what is known before a box is drawn."""

  in_size: int
  out_size: int
  interpolation: str
  antialias: bool

  @property
  def num_taps(self) -> int:
    """The most pixels that a pixel of the output is made of."""
    shrink = self.in_size / self.out_size if self.antialias else 1.0
    # An interval of length w holds at most w + 1 middles of pixels.
    return math.ceil(2 * _REACH[self.interpolation] * max(shrink, 1.0)) + 1

  @property
  def is_sparse(self) -> bool:
    """Whether adding taps is faster on a CPU than a product, as measured."""
    return 7 * self.num_taps <= self.in_size

  def centers(self, start: jax.Array, length: jax.Array) -> jax.Array:
    """Returns where each output pixel lies, float32 [out_size]."""
    # Pixels are squares: edges of both images meet, not middles.
    return start + (jnp.arange(self.out_size) + 0.5) * (length / self.out_size)

  def support(self, length: jax.Array) -> ArrayLike:
    """Returns by how much the filter is widened."""
    shrink = length / self.out_size
    return jnp.maximum(shrink, 1.0) if self.antialias else 1.0

  def weights(
    self, pixels: jax.Array, start: jax.Array, length: jax.Array
  ) -> jax.Array:
    """Returns the weights [out_size, n] of `pixels` [out_size or 1, n].

    Args:
      pixels: numbers of the pixels of the image.
      start: first edge of the box in pixels.
      length: side of the box in pixels.
    """
    middle = pixels + 0.5
    distance = middle - self.centers(start, length)[:, None]
    kernel = _KERNELS[self.interpolation]
    weights = kernel(distance / self.support(length))
    inside = (middle > start) & (middle < start + length)
    weights = jnp.where(inside, weights, 0.0)
    # At an edge of the box a part of the filter is missing; what is left adds
    # up to 1 again, as in Pillow.
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def _multiply(
  image: jax.Array,
  top: jax.Array,
  left: jax.Array,
  height: jax.Array,
  width: jax.Array,
  *,
  axes: tuple[_Axis, _Axis],
) -> jax.Array:
  """Resamples by products with matrices, which are fast on accelerators."""
  rows, columns = (
    axis.weights(jnp.arange(axis.in_size)[None, :], *stretch)
    for axis, stretch in zip(axes, ((top, height), (left, width)), strict=True)
  )
  # The default precision of a TPU would round pixels to 8 bits of mantissa.
  return jnp.einsum(
    'yh,hwc,xw->yxc',
    rows,
    image,
    columns,
    precision=jax.lax.Precision.HIGHEST,
  )


def _add_taps(
  image: jax.Array,
  top: jax.Array,
  left: jax.Array,
  height: jax.Array,
  width: jax.Array,
  *,
  axes: tuple[_Axis, _Axis],
) -> jax.Array:
  """Resamples by adding only what the sparse matrices of `_multiply` weigh."""
  image = _add_taps_along(0, image, axes[0], top, height)
  return _add_taps_along(1, image, axes[1], left, width)


def _add_taps_along(
  dim: int, image: jax.Array, axis: _Axis, start: jax.Array, length: jax.Array
) -> jax.Array:
  # As many taps for every box, of which a small box needs fewer: shapes are
  # static, and the weights of the others are 0.
  reach = _REACH[axis.interpolation] * axis.support(length)
  first = jnp.floor(axis.centers(start, length) - reach).astype(jnp.int32)
  pixels = first[:, None] + jnp.arange(axis.num_taps)[None, :]
  weights = axis.weights(pixels, start, length)

  def add(tap: jax.Array, total: jax.Array) -> jax.Array:
    # Pixels outside the image have no weight.
    taken = jnp.take(image, pixels[:, tap], axis=dim, mode='clip')
    return total + jnp.expand_dims(weights[:, tap], (1 - dim, 2)) * taken

  shape = (*image.shape[:dim], axis.out_size, *image.shape[dim + 1 :])
  zero = jnp.zeros(shape, image.dtype)
  # Unrolled, the taps are added in one pass over the image.
  return jax.lax.fori_loop(0, axis.num_taps, add, zero, unroll=16)


def _triangle(x: jax.Array) -> jax.Array:
  return jnp.maximum(1.0 - jnp.abs(x), 0.0)


def _keys_cubic(x: jax.Array) -> jax.Array:
  x = jnp.abs(x)
  near = (1.5 * x - 2.5) * x * x + 1.0
  far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
  return jnp.where(x < 1.0, near, jnp.where(x < 2.0, far, 0.0))


_KERNELS = {'bilinear': _triangle, 'bicubic': _keys_cubic}
# Pixels on either side beyond which a kernel is 0.
_REACH = {'bilinear': 1, 'bicubic': 2}


def random_resized_crop(
  key: jax.Array, image: jax.Array, *, spec: CropSpec
) -> jax.Array:
  """Draws a box by `spec.rule`, cuts it out, resizes it, clips to [0, 1].

  Deviation: the box is always resampled with antialiasing, by `'tf'` too,
  where the authors of SimCLR call `tf.image.resize` without it; the same when
  a crop is enlarged. Clipping is what 8-bit pipelines do to bicubic overshoot.

  Args:
    key: PRNG key.
    image: float [H, W, 3] in [0, 1].
    spec: the crop.

  Returns:
    [spec.size, spec.size, 3].
  """
  sample = {'torchvision': sample_box_torchvision, 'tf': sample_box_tf}
  box = sample[spec.rule](
    key, *image.shape[:2], scale=spec.scale, ratio=spec.ratio
  )
  crop = crop_and_resize(
    image, box, size=spec.size, interpolation=spec.interpolation
  )
  # Bicubic weights are negative in part, and overshoot at edges.
  return jnp.clip(crop, 0.0, 1.0)


def sample_box_torchvision(
  key: jax.Array,
  height: int,
  width: int,
  *,
  scale: tuple[float, float] = (0.08, 1.0),
  ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
  """Draws a box by the rule of torchvision's `RandomResizedCrop.get_params`.

  Area ~ U(scale) H W, log(w / h) ~ U(log ratio), sides rounded; the first of 10
  attempts that fits gets a uniform integer position; if none fits, the largest
  central box whose ratio is within `ratio`.

  Args:
    key: PRNG key.
    height: height of the image, static.
    width: width of the image, static.
    scale: smallest and largest share of the image's area.
    ratio: smallest and largest width / height.

  Returns:
    The box, int32 scalars.
  """
  u_area, u_ratio, u_place = _uniforms(key, _TORCHVISION_ATTEMPTS)
  area = height * width * (scale[0] + u_area * (scale[1] - scale[0]))
  low, high = jnp.log(jnp.array(ratio, jnp.float32))
  aspect = jnp.exp(low + u_ratio * (high - low))
  w = jnp.round(jnp.sqrt(area * aspect)).astype(jnp.int32)
  h = jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)
  fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)

  # The first True; 0 where there is none, and the fallback is taken.
  first = jnp.argmax(fits)
  box = _place(
    u_place, h[first], w[first], height - h[first] + 1, width - w[first] + 1
  )
  fallback = _central_box(height, width, ratio)
  return jax.tree.map(lambda a, b: jnp.where(fits[first], a, b), box, fallback)


def _central_box(height: int, width: int, ratio: tuple[float, float]) -> Box:
  """Returns the largest central box with its ratio within `ratio`."""
  h, w = height, width
  if width / height < ratio[0]:
    h = min(height, round(width / ratio[0]))
  elif width / height > ratio[1]:
    w = min(width, round(height * ratio[1]))
  return Box((height - h) // 2, (width - w) // 2, h, w)


def _uniforms(
  key: jax.Array, attempts: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draws two numbers an attempt and two for the place, in one call."""
  # All attempts at once: a loop until one fits has no end that is known, and
  # each call of the generator costs.
  u = jax.random.uniform(key, (2 * attempts + 2,))
  return u[2 : attempts + 2], u[attempts + 2 :], u[:2]


def _place(
  uniform: jax.Array,
  height: jax.Array,
  width: jax.Array,
  num_tops: ArrayLike,
  num_lefts: ArrayLike,
) -> Box:
  """Puts a box at one of `num_tops` x `num_lefts` positions."""
  u_top, u_left = uniform
  # A product that rounds up to the bound would leave the image.
  top = jnp.minimum((u_top * num_tops).astype(jnp.int32), num_tops - 1)
  left = jnp.minimum((u_left * num_lefts).astype(jnp.int32), num_lefts - 1)
  return Box(top, left, height, width)


def sample_box_tf(
  key: jax.Array,
  height: int,
  width: int,
  *,
  scale: tuple[float, float] = (0.08, 1.0),
  ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
  """Draws a box by TF's rule, `tf.image.sample_distorted_bounding_box`.

  With the arguments of SimCLR: the object is the whole image, of which a crop
  must cover a tenth, and 100 attempts. Not the same as torchvision's rule:
  w / h ~ U(ratio) instead of its logarithm; the *height* instead of the area is
  uniform, over the integers that the ratio allows; the last possible offset is
  never drawn. If no attempt fits, the whole image.

  Source: `GenerateRandomCrop` in sample_distorted_bounding_box_op.cc of
  TensorFlow.

  Args:
    key: PRNG key.
    height: height of the image, static.
    width: width of the image, static.
    scale: smallest and largest share of the image's area.
    ratio: smallest and largest width / height.

  Returns:
    The box, int32 scalars.
  """
  u_ratio, u_height, u_place = _uniforms(key, _TF_ATTEMPTS)
  aspect = ratio[0] + u_ratio * (ratio[1] - ratio[0])
  h, w, fits = _tf_attempts(u_height, aspect, height, width, scale)
  fits &= h * w >= _TF_MIN_COVERED * height * width

  # The first True; 0 where there is none, and the whole image is taken.
  first = jnp.argmax(fits)
  box = _place(
    u_place,
    h[first],
    w[first],
    # As many offsets as TF draws: one fewer than there are, at least one.
    jnp.maximum(height - h[first], 1),
    jnp.maximum(width - w[first], 1),
  )
  whole = Box(0, 0, height, width)
  return jax.tree.map(lambda a, b: jnp.where(fits[first], a, b), box, whole)


def _tf_attempts(
  uniform: jax.Array,
  aspect: jax.Array,
  height: int,
  width: int,
  scale: tuple[float, float],
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns heights, widths and whether each attempt fits, all [attempts]."""

  def width_of(h: jax.Array) -> jax.Array:
    return jnp.round(h * aspect).astype(jnp.int32)

  def height_of(area: ArrayLike) -> jax.Array:
    return jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)

  min_area, max_area = scale[0] * height * width, scale[1] * height * width
  highest = height_of(max_area)
  widest = ((width + 0.5) / aspect).astype(jnp.int32)
  widest -= width_of(widest) > width
  highest = jnp.where(width_of(highest) > width, widest, highest)
  highest = jnp.minimum(highest, height)
  lowest = jnp.minimum(height_of(min_area), highest)
  count = highest - lowest + 1
  h = lowest + jnp.minimum((uniform * count).astype(jnp.int32), count - 1)
  # Rounding may leave the range of areas by one row; TF mends that.
  h += h * width_of(h) < min_area
  h -= h * width_of(h) > max_area
  w = width_of(h)
  area = h * w
  fits = (area >= min_area) & (area <= max_area) & (w > 0) & (h > 0)
  return h, w, fits & (w <= width) & (h <= height)
