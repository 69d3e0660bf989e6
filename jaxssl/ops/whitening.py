"""Rows whose dimensions vary alike and say nothing of each other."""

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.parallel import collectives


def whiten(
  z: jax.Array, *, group: int = 0, axis_name: str | None = None
) -> jax.Array:
  """Returns rows of mean 0 and covariance 1, by Cholesky's factor.

  With mean m and covariance C = L Lᵀ, over n - 1, of the n rows of a group,

    y = L⁻¹ (z - m)

  Groups are rows that follow each other in the global batch, so values and
  gradient do not depend on the number of devices; a device sends its rows, and
  solves the small problems of all.

  Args:
    z: float32 [b, K].
    group: n, rows that are whitened together; 0 for all. With not many more
      than K of them the covariance is near to singular, and the gradient large:
      the authors take twice as many.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    float32 [b, K].

  Raises:
    UserError: if groups do not divide the batch, or have no more rows than K.

  References:
    Ermolov et al., Whitening for Self-Supervised Representation Learning, ICML
    2021, https://arxiv.org/abs/2007.06346, section 3.1; methods/whitening.py of
    htdt/self-supervised.
  """
  total, width = len(z) * collectives.axis_size(axis_name), z.shape[-1]
  group = group or total
  if total % group or group <= width:
    raise UserError(
      f'whitening of {width} dimensions among {group} rows of a batch of '
      f'{total}: they must divide the batch, and be more than the dimensions, '
      'better twice as many'
    )
  everyone = collectives.gather(z, axis_name)
  groups = everyone.reshape(-1, group, width)
  centred = groups - groups.mean(axis=1, keepdims=True)
  # Small variances count as much as large ones: no bfloat16 or TF32.
  covariance = jnp.einsum(
    'gnj,gnk->gjk', centred, centred, precision='highest'
  ) / (group - 1)
  factor = jnp.linalg.cholesky(covariance)
  with jax.default_matmul_precision('highest'):
    white = jax.lax.linalg.triangular_solve(
      factor, centred, left_side=False, lower=True, transpose_a=True
    )
  rows = collectives.row_ids(len(z), axis_name)
  white = white.reshape(everyone.shape)
  return white if axis_name is None else white[rows]
