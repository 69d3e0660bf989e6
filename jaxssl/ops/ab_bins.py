"""The a*b* plane in bins: colour as a class.

Source: Zhang et al., Colorful Image Colorization, 2016,
https://arxiv.org/abs/1603.08511 (section 2).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

STEP = 10  # side of a bin in units of a* and b*
NUM_NEIGHBORS = 10
SIGMA = 5.0


# a -> lowest and highest b of the authors' bins (resources/pts_in_hull.npy).
_ROWS = {
  -90: (50, 90),
  -80: (20, 90),
  -70: (0, 90),
  -60: (-20, 90),
  -50: (-30, 100),
  -40: (-40, 100),
  -30: (-50, 100),
  -20: (-50, 100),
  -10: (-60, 100),
  0: (-70, 100),
  10: (-80, 90),
  20: (-80, 90),
  30: (-90, 90),
  40: (-100, 90),
  50: (-100, 80),
  60: (-110, 80),
  70: (-110, 80),
  80: (-110, 70),
  90: (-110, 70),
  100: (-90, 0),
}


@functools.lru_cache
def bin_centers() -> np.ndarray:
  """Returns the centres of the bins, float32 [313, 2]; a* varies slowest.

  They are the multiples of 10 around the colours of sRGB: all corners of the
  squares of side 10 that contain such a colour, 309, and four more at the
  border, (40, 90), (100, -90), (100, -10) and (100, 0), which the authors have.
  """
  centers = [
    (a, b)
    for a, (low, high) in _ROWS.items()
    for b in range(low, high + 1, STEP)
  ]
  return np.array(centers, np.float32)


def soft_encode(ab: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Spreads colours over the ten nearest bins.

  weight_q is proportional to exp(-|ab - c_q|^2 / (2 sigma^2)), sigma = 5.

  Args:
    ab: [..., 2].

  Returns:
    The bins, int32 [..., 10], nearest first, and their weights, float32
    [..., 10], which sum to 1.
  """
  centers = bin_centers()
  a, b = (jnp.asarray(centers[:, i]) for i in range(2))
  shape = (1,) * (ab.ndim - 1) + (-1,)
  ab = ab.astype(jnp.float32)
  # Squares of differences: |x|² - 2 x c + |c|² needs a matrix product
  # and cancels where the distance is small.
  distance = (ab[..., 0, None] - a.reshape(shape)) ** 2
  distance += (ab[..., 1, None] - b.reshape(shape)) ** 2
  # The largest of the negative distances are the nearest.
  near, bins = jax.lax.top_k(-distance, NUM_NEIGHBORS)
  # Softmax, because far from all bins every exponential would be 0.
  return bins, jax.nn.softmax(near / (2 * SIGMA**2), axis=-1)


def class_weights(prior: jax.Array, *, uniform: float) -> jax.Array:
  """Returns weights that let rare colours count.

  w_q is proportional to 1 / ((1 - lambda) p_q + lambda / Q), with
  sum_q p_q w_q = 1 (equation 4).

  Args:
    prior: p, float32 [Q], sums to 1.
    uniform: lambda, share of the uniform distribution; 1 gives equal weights.

  Returns:
    float32 [Q].
  """
  weights = 1.0 / ((1.0 - uniform) * prior + uniform / len(prior))
  return weights / jnp.sum(prior * weights)


def annealed_mean(logits: jax.Array, *, temperature: float = 0.38) -> jax.Array:
  """Returns the colour of a distribution over bins.

  The mean of the bins' centres under softmax(logits / T) (equation 5): T = 1
  is the mean, dull; T -> 0 the mode, vivid but patchy.

  Args:
    logits: [..., Q].
    temperature: T; 0.38 in the paper.

  Returns:
    ab, float32 [..., 2].
  """
  probs = jax.nn.softmax(logits.astype(jnp.float32) / temperature, axis=-1)
  centers = jnp.asarray(bin_centers())
  return jnp.stack(
    [
      jnp.einsum('...q,q->...', probs, centers[:, i], precision='highest')
      for i in range(2)
    ],
    axis=-1,
  )
