"""Gaussian blur of one image [H, W, C]; the caller vmaps."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxssl import errors
from jaxssl.augment.rowwise import rowwise

Border = Literal['zero', 'reflect', 'edge']

_PAD_MODES = {'zero': 'constant', 'reflect': 'reflect', 'edge': 'edge'}


def gaussian_kernel(sigma: ArrayLike, *, radius: int) -> jax.Array:
  """Returns exp(-x² / 2σ²) at x = -radius..radius, normalised, float32."""
  x = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
  # The largest exponent is 0, so this neither overflows nor sums to 0.
  return jax.nn.softmax(-jnp.square(x / sigma) / 2.0)


def gaussian_blur(
  image: jax.Array,
  sigma: ArrayLike,
  *,
  radius: int,
  border: Border = 'zero',
) -> jax.Array:
  """Blurs with a Gaussian cut off at `radius`, one axis after the other.

  Args:
    image: float [H, W, C].
    sigma: standard deviation in pixels, > 0; may be traced.
    radius: taps on each side, static; the kernel has 2 radius + 1.
    border: what lies outside. `'zero'`: black, the SAME padding of SimCLR and
      BYOL, which darkens the rim. `'reflect'`: mirrored about the outermost
      pixels, as torchvision. `'edge'`: outermost pixels repeated, as Pillow.

  Returns:
    [H, W, C] in the dtype of `image`, computed in float32.

  Raises:
    jaxssl.errors.UserError: unknown border.
  """
  _check_border(border)
  kernel = gaussian_kernel(sigma, radius=radius)
  blurred = image.astype(jnp.float32)
  for axis in (0, 1):
    blurred = _blur_axis(blurred, kernel, radius, axis, border)
  return blurred.astype(image.dtype)


def _check_border(border: str) -> None:
  if border not in _PAD_MODES:
    raise errors.unknown('border', border, _PAD_MODES)


def _blur_axis(
  image: jax.Array, kernel: jax.Array, radius: int, axis: int, border: Border
) -> jax.Array:
  pad = [(0, 0)] * image.ndim
  pad[axis] = (radius, radius)
  padded = jnp.pad(image, pad, mode=_PAD_MODES[border])
  size = image.shape[axis]

  def shifted(offset: int) -> jax.Array:
    return jax.lax.slice_in_dim(
      padded, radius + offset, radius + offset + size, axis=axis
    )

  # Shifted images: one convolution a row, with its own kernel, would be a
  # grouped one under `vmap`. Both pixels of a distance share a weight.
  total = kernel[radius] * image
  for offset in range(1, radius + 1):
    total += kernel[radius + offset] * (shifted(offset) + shifted(-offset))
  return total


def random_gaussian_blur(
  key: jax.Array,
  image: jax.Array,
  *,
  radius: int,
  sigma: tuple[float, float] = (0.1, 2.0),
  prob: float = 0.5,
  border: Border = 'zero',
) -> jax.Array:
  """Blurs with σ ~ U(sigma) with probability `prob`; clips to [0, 1].

  Args:
    key: PRNG key.
    image: float [H, W, 3] in [0, 1].
    radius: taps on each side.
    sigma: smallest and largest standard deviation in pixels.
    prob: probability that the image is blurred.
    border: see `gaussian_blur`.

  Returns:
    [H, W, 3] in the dtype of `image`.
  """
  # One draw for both numbers: each call of the generator costs.
  u_sigma, u_apply = jax.random.uniform(key, (2,))
  drawn = sigma[0] + u_sigma * (sigma[1] - sigma[0])
  _check_border(border)

  def blur(image: jax.Array, sigma: jax.Array) -> jax.Array:
    blurred = gaussian_blur(image, sigma, radius=radius, border=border)
    # Weights add up to 1 but for rounding.
    return jnp.clip(blurred, 0.0, 1.0)

  @rowwise
  def maybe_blur(
    apply: jax.Array, image: jax.Array, sigma: jax.Array
  ) -> jax.Array:
    return jax.lax.cond(apply, blur, lambda image, sigma: image, image, sigma)

  return maybe_blur(u_apply < prob, image, drawn)
