"""Layer normalisation whose backward pass is written out."""

import functools
from typing import NamedTuple

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp


class LayerNorm(nn.Module):
  """Layer normalisation (Ba et al., arXiv 1607.06450).

  `y = (x - E[x]) / sqrt(Var[x] + epsilon) * scale + bias` over the last axis,
  in float32 and with two-pass statistics, the default epsilon timm's for ViTs.

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
    return _normalize(x, scale, bias, self.epsilon).astype(self.dtype)


class _Residuals(NamedTuple):
  x: jax.Array
  mean: jax.Array
  inverse_std: jax.Array
  scale: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalize(x, scale, bias, epsilon):
  return _normalize_fwd(x, scale, bias, epsilon)[0]


def _normalize_fwd(x, scale, bias, epsilon):
  wide = x.astype(jnp.float32)
  mean = wide.mean(-1, keepdims=True)
  centered = wide - mean
  var = jnp.square(centered).mean(-1, keepdims=True)
  inverse_std = jax.lax.rsqrt(var + epsilon)
  y = centered * inverse_std * _like(scale, x) + _like(bias, x)
  return y, _Residuals(x, mean, inverse_std, scale)


def _normalize_bwd(epsilon, residuals, dy):
  """With n = (x - E[x]) / std and dn = dy * scale over D channels.

  dx = (dn - E[dn] - n E[dn n]) / std,  dscale = sum dy n,  dbias = sum dy
  """
  del epsilon
  x, mean, inverse_std, scale = residuals
  normed = (x.astype(jnp.float32) - mean) * inverse_std
  product = dy * normed
  # Sums as products with vectors: with plain sums XLA's CPU backend needs
  # 1.4 times as long for a whole step of a ViT.
  first = _row_sum(dy, scale) / x.shape[-1]
  second = _row_sum(product, scale) / x.shape[-1]
  dx = (dy * _like(scale, x) - first - normed * second) * inverse_std
  return dx.astype(x.dtype), _column_sum(product), _column_sum(dy)


_normalize.defvjp(_normalize_fwd, _normalize_bwd)


def _like(vector, x):
  return jnp.broadcast_to(vector, x.shape)


def _row_sum(x, weights):
  """Returns the weighted sum over the last axis, [..., 1]."""
  return jnp.matmul(x, weights[:, None], precision='highest')


def _column_sum(x):
  """Returns the sum over all axes but the last, [D]."""
  axes = tuple(range(x.ndim - 1))
  ones = jnp.ones(x.shape[:-1])
  return jnp.tensordot(ones, x, (axes, axes), precision='highest')
