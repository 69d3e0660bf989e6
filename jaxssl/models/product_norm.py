"""A 1x1 convolution and its BatchNorm at once, for GPUs."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Reduction(NamedTuple):
  """What sums are taken over, and what follows.

  Attributes:
    over_devices: mean over devices of what each has of its own rows.
    relu: ReLU follows.
    epsilon: added to the variance.
  """

  over_devices: Callable[[jax.Array], jax.Array]
  relu: bool
  epsilon: float


class _Residuals(NamedTuple):
  """What the backward pass needs.

  Attributes:
    x: as it came.
    kernel: as it was multiplied, float32 [C, F].
    scale: [F].
    folded: [C, F], scaled so that the product is normalised.
    row_mean: E[x] of all devices, [C].
    row_sum: sum of x of this device, [C].
    spread: sum of x (x - E[x])^T of this device, [C, C].
    inverse_std: [F].
    y: the result, with ReLU only.
    added: nothing, or an empty array if there was a shortcut.
  """

  x: jax.Array
  kernel: jax.Array
  scale: jax.Array
  folded: jax.Array
  row_mean: jax.Array
  row_sum: jax.Array
  spread: jax.Array
  inverse_std: jax.Array
  y: jax.Array | None
  added: jax.Array | None


_Result = tuple[jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _normalized(
  x: jax.Array,
  kernel: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  shortcut: jax.Array | None,
  reduction: Reduction,
) -> _Result:
  return _forward(x, kernel, scale, bias, shortcut, reduction)[0]


def _forward(
  x: jax.Array,
  kernel: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  shortcut: jax.Array | None,
  reduction: Reduction,
) -> tuple[_Result, _Residuals]:
  count = x.size // x.shape[-1]
  kernel = kernel.astype(x.dtype).astype(jnp.float32)
  row_sum = x.astype(jnp.float32).sum(_rows(x))
  row_mean = reduction.over_devices(row_sum / count)
  spread = _over_rows(x, x) - _outer(row_sum, row_mean)
  covariance = reduction.over_devices(spread / count)
  mean = _product(row_mean, kernel)
  # The diagonal of K^T Cov[x] K. Rounding can leave a difference below zero.
  var = jnp.maximum((kernel * _product(covariance, kernel)).sum(0), 0.0)
  inverse_std = jax.lax.rsqrt(var + reduction.epsilon)
  folded = (kernel * _like(scale * inverse_std, kernel)).astype(x.dtype)
  # Of the kernel as it was rounded, so that the mean is `bias`.
  shift = bias - _product(row_mean, folded.astype(jnp.float32))
  y = (x @ folded).astype(jnp.float32)
  y = y + jnp.broadcast_to(shift, y.shape)
  if shortcut is not None:
    y = y + shortcut.astype(jnp.float32)
  y = (jnp.maximum(y, 0.0) if reduction.relu else y).astype(x.dtype)
  if shortcut is not None:
    # Otherwise the sum of each block is made anew in that of the next, which
    # reads the products of all blocks before it.
    y = jax.lax.optimization_barrier(y)
  residuals = _Residuals(
    x=x,
    kernel=kernel,
    scale=scale,
    folded=folded,
    row_mean=row_mean,
    row_sum=row_sum,
    spread=spread,
    inverse_std=inverse_std,
    y=y if reduction.relu else None,
    added=None if shortcut is None else jnp.zeros(0),
  )
  return (y, mean, var), residuals


def _backward(
  reduction: Reduction, residuals: _Residuals, gradients: _Result
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array | None]:
  r, dy = residuals, gradients[0]
  count = r.x.size // r.x.shape[-1]
  if r.y is not None:
    dy = jnp.where(r.y > 0, dy, jnp.zeros_like(dy))
  total = dy.astype(jnp.float32).sum(_rows(dy))
  # Otherwise all that reads `dy` has to make it anew, of two arrays.
  dy, total = jax.lax.optimization_barrier((dy, total))
  crossed = _over_rows(r.x, dy)
  # sum dy (z - E[z]), from deviations of x: z may be far from 0.
  apart = crossed - _outer(r.row_mean, total)
  dscale = (r.kernel * apart).sum(0) * r.inverse_std
  first = reduction.over_devices(total / count)
  second = reduction.over_devices(dscale / count)
  factor, slope = r.scale * r.inverse_std, second * r.inverse_std
  # x^T dz.
  bent = _product(r.spread, r.kernel) * _like(slope, r.kernel)
  dkernel = crossed - _outer(r.row_sum, first) - bent
  dkernel = dkernel * _like(factor, r.kernel)
  # dz K^T: what n adds to it is a product of x - E[x] with [C, C].
  mixed = _product(r.kernel * _like(factor * slope, r.kernel), r.kernel.T)
  mixed = (-mixed).astype(r.x.dtype)
  shift = _product(r.row_mean, mixed.astype(jnp.float32))
  shift = shift + _product(first, r.folded.astype(jnp.float32).T)
  dx = (r.x @ mixed).astype(jnp.float32)
  dx = (dx - jnp.broadcast_to(shift, dx.shape)).astype(r.x.dtype)
  dx = dy @ r.folded.T + dx
  added = None if r.added is None else dy
  return dx, dkernel, dscale, total, added


_normalized.defvjp(_forward, _backward)


def normalized_product(
  x: jax.Array,
  kernel: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  shortcut: jax.Array | None,
  reduction: Reduction,
) -> _Result:
  """Normalises `z = x @ kernel` over rows, without keeping z.

  BatchNorm needs of z only E[z] = E[x] K and Var[z], the diagonal of
  K^T Cov[x] K: sums over x, which has fewer channels. Normalising is a product
  with a scaled kernel. The gradient of z,

    dz = scale / std (dy - E[dy] - n E[dy n]),  n = (z - E[z]) / std

  is linear in dy and z, so that dz K^T and x^T dz are made of dy K^T, x^T dy
  and products of channels with channels. Nothing like dz is written, and z and
  what else is as large are not kept for the backward pass.

  Of bfloat16 the sums are as good as those of `moments.moments`. Where a
  channel of z varies far less than those of x that it is made of, fewer digits
  of its variance are left.

  Args:
    x: [..., C].
    kernel: float32 [C, F], rounded to the type of `x`.
    scale: float32 [F].
    bias: float32 [F].
    shortcut: [..., F] of the type of `x`, added before ReLU, or None.
    reduction: what sums are taken over, and what follows.

  Returns:
    The result, [..., F] in the type of `x`; mean and biased variance of z, [F],
    which have no gradient of their own.
  """
  return _normalized(x, kernel, scale, bias, shortcut, reduction)


def _rows(x: jax.Array) -> tuple[int, ...]:
  return tuple(range(x.ndim - 1))


def _over_rows(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns x^T y, float32 [C, F]."""
  return jnp.tensordot(
    x,
    y,
    (_rows(x), _rows(y)),
    # Products of 16 bits are exact in float32.
    precision='highest' if x.dtype == jnp.float32 else None,
    preferred_element_type=jnp.float32,
  )


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
  return jnp.matmul(x, y, precision='highest')


def _outer(x: jax.Array, y: jax.Array) -> jax.Array:
  return x[:, None] * y[None]


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
  return jnp.broadcast_to(vector, x.shape)
