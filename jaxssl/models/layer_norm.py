"""Layer normalisation whose backward pass is written out."""

import functools
from typing import NamedTuple

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models.moments import moments


class LayerNorm(nn.Module):
  """Layer normalisation (Ba et al., arXiv 1607.06450).

  `y = (x - E[x]) / sqrt(Var[x] + epsilon) * scale + bias` over the last axis,
  in float32; for the statistics see `moments`. The default epsilon is that of
  timm's ViTs.

  The numbers of `flax.linen.LayerNorm(use_fast_variance=False)`, whose derived
  backward pass takes half of the training step of a ViT-Ti on XLA's CPU
  backend (benchmarks/results/step.md). No forward-mode derivative.

  Attributes:
    epsilon: added to the variance.
    dtype: type of the result; parameters and statistics are float32.
  """

  epsilon: float = 1e-6
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Normalises `x` [..., D]."""
    dim = x.shape[-1:]
    scale = self.param('scale', nn.initializers.ones, dim, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, dim, jnp.float32)
    return _normalize(x, scale, bias, self.epsilon, self.dtype)


class _Residuals(NamedTuple):
  x: jax.Array
  mean: jax.Array
  inverse_std: jax.Array
  scale: jax.Array


_Gradients = tuple[jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalize(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, dtype: Dtype
) -> jax.Array:
  return _normalize_fwd(x, scale, bias, epsilon, dtype)[0]


def _normalize_fwd(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, dtype: Dtype
) -> tuple[jax.Array, _Residuals]:
  mean, var = moments(x, (x.ndim - 1,), keepdims=True)
  inverse_std = jax.lax.rsqrt(var + epsilon)
  centered = x.astype(jnp.float32) - mean
  y = centered * inverse_std * _like(scale, x) + _like(bias, x)
  # x as it came, of which the normalised values are made again: in bfloat16
  # half the bytes of `centered`.
  return y.astype(dtype), _Residuals(x, mean, inverse_std, scale)


def _normalize_bwd(
  epsilon: float, dtype: Dtype, residuals: _Residuals, dy: jax.Array
) -> _Gradients:
  """With n = (x - E[x]) / std and dn = dy * scale over D channels.

  dx = (dn - E[dn] - n E[dn n]) / std,  dscale = sum dy n,  dbias = sum dy
  """
  del epsilon, dtype
  return jax.lax.platform_dependent(
    residuals, dy, cpu=_gradients_by_products, default=_gradients_by_sums
  )


_normalize.defvjp(_normalize_fwd, _normalize_bwd)


def _gradients_by_sums(residuals: _Residuals, dy: jax.Array) -> _Gradients:
  """Two kernels: one for `dx`, row by row, one for the sums over rows."""
  x, mean, inverse_std, scale = residuals
  # Otherwise the compiler has the first write `dy n` in float32 for the second.
  others = jax.lax.optimization_barrier((x, mean, inverse_std, dy))
  wide = dy.astype(jnp.float32)
  normed = (x.astype(jnp.float32) - mean) * inverse_std
  dn = wide * _like(scale, x)
  first = dn.mean(-1, keepdims=True)
  second = (dn * normed).mean(-1, keepdims=True)
  dx = (dn - first - normed * second) * inverse_std
  return dx.astype(x.dtype), *_sums_over_rows(*others)


def _sums_over_rows(
  x: jax.Array, mean: jax.Array, inverse_std: jax.Array, dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
  wide = dy.astype(jnp.float32)
  normed = (x.astype(jnp.float32) - mean) * inverse_std
  rows = tuple(range(x.ndim - 1))
  return (wide * normed).sum(rows), wide.sum(rows)


def _gradients_by_products(residuals: _Residuals, dy: jax.Array) -> _Gradients:
  """Sums as products with vectors.

  With plain sums XLA's CPU backend needs 1.4 times as long for a whole step of
  a ViT. An accelerator would have to read their operands from memory.
  """
  x, mean, inverse_std, scale = residuals
  dy = dy.astype(jnp.float32)
  # Made again from x, as it is not kept.
  normed = (x.astype(jnp.float32) - mean) * inverse_std
  product = dy * normed
  first = _row_sum(dy, scale) / x.shape[-1]
  second = _row_sum(product, scale) / x.shape[-1]
  dx = (dy * _like(scale, x) - first - normed * second) * inverse_std
  return dx.astype(x.dtype), _column_sum(product), _column_sum(dy)


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
  return jnp.broadcast_to(vector, x.shape)


def _row_sum(x: jax.Array, weights: jax.Array) -> jax.Array:
  """Returns the weighted sum over the last axis, [..., 1]."""
  return jnp.matmul(x, weights[:, None], precision='highest')


def _column_sum(x: jax.Array) -> jax.Array:
  """Returns the sum over all axes but the last, [D]."""
  axes = tuple(range(x.ndim - 1))
  ones = jnp.ones(x.shape[:-1])
  return jnp.tensordot(ones, x, (axes, axes), precision='highest')
