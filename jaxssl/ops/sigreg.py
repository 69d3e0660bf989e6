"""How far a batch of embeddings is from a standard normal distribution."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.parallel import collectives

# Points and end of the grid, as the authors'.
KNOTS, END = 17, 3.0


def sigreg(
  z: jax.Array, directions: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
  """Sketched isotropic Gaussian regularization (SIGReg).

  The statistic of Epps and Pulley along random directions a, averaged: with
  x = z a over the B rows of the global batch and phi(t) = exp(-t² / 2), the
  characteristic function of N(0, 1),

    B integral_-3^3 |1/B sum_b exp(i t x_b) - phi(t)|² phi(t) dt

  by the trapezoidal rule with 17 points on [0, 3]; the integrand is even. It is
  0 only if the characteristic functions agree on the grid. For B rows of
  N(0, 1) it is about 1.05, whatever B is.

  The means of cosines and sines are those of all devices, so the loss and its
  gradient do not depend on their number; a device sends 2 x 17 numbers a
  direction, not its rows.

  Args:
    z: float32 [..., b, K]; all leading axes are batches of their own (views).
    directions: float32 [K, S], columns of length 1, equal on all devices.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    The mean over directions and leading axes, a float32 scalar.

  References:
    Balestriero and LeCun, LeJEPA, 2025, https://arxiv.org/abs/2511.08544,
    section 4; `EppsPulley` and `SlicingUnivariateTest` of rbalestr-lab/lejepa.
  """
  rows = z.shape[-2] * collectives.axis_size(axis_name)
  t = np.linspace(0, END, KNOTS, dtype=np.float32)
  normal = np.exp(-(t**2) / 2)
  # Of the trapezoidal rule, twice, for the half below 0; the ends have half.
  width = np.full(KNOTS, 2 * t[1])
  width[[0, -1]] = t[1]
  # Along a direction values are near 1: bfloat16 or TF32 would blur them.
  x = jnp.matmul(z, directions, precision='highest')
  # Averaged before they are squared, or the statistic would be one of each
  # device's rows.
  cosine, sine = collectives.pmean(_moments(x, t), axis_name)
  error = (cosine - jnp.expand_dims(normal, range(cosine.ndim - 1))) ** 2
  return rows * jnp.mean((error + sine**2) @ (width * normal))


# Recomputed in the backward pass: kept, they would be 17 times as large as `x`.
@jax.checkpoint
def _moments(x: jax.Array, t: np.ndarray) -> tuple[jax.Array, jax.Array]:
  """Returns the means of cos(t x) and sin(t x), [..., S, T], of [..., b, S]."""
  angles = x[..., None] * jnp.expand_dims(t, range(x.ndim))
  return jnp.cos(angles).mean(axis=-3), jnp.sin(angles).mean(axis=-3)


def random_directions(key: jax.Array, dim: int, count: int) -> jax.Array:
  """Returns float32 [dim, count] whose columns are uniform on the sphere.

  Args:
    key: PRNG key, equal on all devices.
    dim: K.
    count: S.
  """
  directions = jax.random.normal(key, (dim, count))
  return directions / jnp.linalg.norm(directions, axis=0, keepdims=True)
