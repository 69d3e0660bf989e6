"""Losses of the moments of a batch: no negatives, dimensions that differ.

The matrices are sums over the rows of all devices. A device sends its K x K
sum, not its rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl.parallel import collectives


def cross_correlation(
  z1: jax.Array, z2: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
  """Returns C = 1/B z1ᵀ z2, float32 [K, K].

  Of columns with mean 0 and variance 1 over the global batch these are the
  correlations.

  Args:
    z1: one view, float32 [b, K].
    z2: the other view of the same rows.
    axis_name: mapped device axis, or None in the global view.
  """
  # The transpose of a mean over devices is that mean: each device passes the
  # gradient of C, which all have alike, to its own rows, and the train step
  # averages. That is the gradient of the global batch.
  return collectives.pmean(_product(z1, z2) / len(z1), axis_name)


def barlow_twins(correlation: jax.Array, *, off_diagonal: float) -> jax.Array:
  """Returns Σ_i (1 − C_ii)² + λ Σ_{i≠j} C_ij².

  Args:
    correlation: C of two views, see `cross_correlation`.
    off_diagonal: λ.

  References:
    Zbontar et al. 2021, https://arxiv.org/abs/2103.03230, equation 1.
  """
  on_diagonal = jnp.sum((1 - diagonal(correlation)) ** 2)
  return on_diagonal + off_diagonal * _off_diagonal_squares(correlation)


class Spread(NamedTuple):
  """How a batch of projections fills its space.

  Attributes:
    variance: V = 1/K Σ_j max(0, 1 − √(Var_j + ε)).
    covariance: C = 1/K Σ_{i≠j} Cov_ij².
  """

  variance: jax.Array
  covariance: jax.Array


def spread(
  z: jax.Array, *, epsilon: float = 1e-4, axis_name: str | None = None
) -> Spread:
  """Measures the terms of VICReg that one view has by itself.

  Variance and covariance are those of the global batch, over B − 1.

  Args:
    z: projections float32 [b, K].
    epsilon: ε under the root, which keeps its gradient finite.
    axis_name: mapped device axis, or None in the global view.

  References:
    Bardes et al. 2022, https://arxiv.org/abs/2105.04906, equations 1 to 4;
    main_vicreg.py of facebookresearch/vicreg, where the hinge is at 1.
  """
  rows = len(z) * collectives.axis_size(axis_name)
  # Centred first: E[z zᵀ] - E[z] E[z]ᵀ would cancel where means are large.
  centred = z - collectives.pmean(z.mean(axis=0, keepdims=True), axis_name)
  second = collectives.pmean(_product(centred, centred) / len(z), axis_name)
  covariance = second * rows / (rows - 1)
  deviation = jnp.sqrt(diagonal(covariance) + epsilon)
  return Spread(
    jax.nn.relu(1 - deviation).mean(),
    _off_diagonal_squares(covariance) / z.shape[-1],
  )


def diagonal(matrix: jax.Array) -> jax.Array:
  """Returns the diagonal [K] of a matrix [K, K].

  Its gradient is a selection, where that of `jnp.diagonal` is a scatter.
  """
  return jnp.sum(jnp.where(_is_diagonal(matrix), matrix, 0), axis=0)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
  # Sums over a batch, squared: TF32 or bfloat16 would blur the small ones.
  return jnp.matmul(x.T, y, precision='highest')


def _off_diagonal_squares(matrix: jax.Array) -> jax.Array:
  # Not the difference of two sums: near the optimum it would be rounding.
  return jnp.sum(jnp.where(_is_diagonal(matrix), 0, matrix) ** 2)


def _is_diagonal(matrix: jax.Array) -> jax.Array:
  return jnp.eye(len(matrix), dtype=bool)
