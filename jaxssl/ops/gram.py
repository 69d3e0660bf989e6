"""How the patches of a picture resemble each other, in two networks."""

import jax
import jax.numpy as jnp

from jaxssl.ops.contrastive import l2_normalize


def gram_distance(x: jax.Array, y: jax.Array) -> jax.Array:
  """Mean squared difference of the cosines between patches of a picture.

  With unit vectors u_m = x_m / |x_m| and v_m = y_m / |y_m| of N patches,

    1/N² |U Uᵀ - V Vᵀ|² = mean_mn (u_m . u_n - v_m . v_n)²

  The networks may have other features, of another width, as long as patches
  resemble each other alike: 0. It is below 4, and the loss of DINOv3's Gram
  anchoring.

  Args:
    x: patch features [..., N, D] of one network (any norm).
    y: patch features [..., N, D'] of the other.

  Returns:
    float32 [...].

  References:
    Siméoni et al., DINOv3, 2025, https://arxiv.org/abs/2508.10104 (section
    4.2, where the distance is a sum); dinov3/loss/gram_loss.py of
    facebookresearch/dinov3, which has the mean.
  """
  return jnp.mean((_gram(x) - _gram(y)) ** 2, axis=(-2, -1))


def _gram(x: jax.Array) -> jax.Array:
  # Differences of cosines: bfloat16 or TF32 would blur the small ones.
  unit = l2_normalize(x)
  return jnp.matmul(unit, unit.swapaxes(-1, -2), precision='highest')
