"""Is the encoder still telling images apart? Two numbers and plain advice.

A method without labels can reach a low loss by giving every image the same
feature (complete collapse) or features that lie along few directions
(dimensional collapse). Both show in the features of one batch.
"""

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np

# A judgement, not a measurement: so near to the values of complete collapse (0
# and 1) hardly anything tells images apart.
MIN_STD = 0.02
MIN_RANK = 2.0
# Of so few images nothing is said: three can be alike by themselves.
MIN_IMAGES = 16
# The effective rank costs an SVD; so many rows tell it well enough.
MAX_IMAGES = 2048


def indicators(features: jax.Array) -> dict[str, jax.Array]:
  """Measures how far features are from collapse; pure, can run under `jit`.

  `feature_std` = √D · mean_d std_i(f_id / ‖f_i‖): 1 where the features spread
  evenly over all directions, 0 where all images have the same one (Chen & He
  2021, SimSiam, arXiv:2011.10566, section 4.1, who plot the value without √D).
  Features behind a ReLU have a common direction and stay below 1.

  `effective_rank` = exp(−Σ_k p_k log p_k), p_k = σ_k / Σ_j σ_j, with the
  singular values σ of the features, not centred: between 1 and min(n, D)
  (Roy & Vetterli 2007; as an indicator: Garrido et al. 2023, RankMe,
  arXiv:2210.02885). RankMe adds 1e-7 to p; here p log p is 0 where p is.

  Compare both only between batches of equal n: the rank cannot exceed it.

  Args:
    features: [n, D] of n different images, n > 1; any float type.

  Returns:
    float32 scalars `feature_std`, `effective_rank`.
  """
  chex.assert_rank(features, 2)
  features = features.astype(jnp.float32)
  norm = jnp.linalg.norm(features, axis=1, keepdims=True)
  directions = features / jnp.maximum(norm, 1e-12)
  spread = directions.std(axis=0).mean() * jnp.sqrt(features.shape[1])
  sigma = jnp.linalg.svd(features, compute_uv=False)
  share = sigma / jnp.maximum(sigma.sum(), 1e-12)
  entropy = jax.scipy.special.entr(share).sum()
  return {'feature_std': spread, 'effective_rank': jnp.exp(entropy)}


def examine(features: np.ndarray) -> dict[str, float]:
  """Returns the indicators of a data set as numbers, of at most 2048 rows.

  Args:
    features: float [n, D].

  Returns:
    `feature_std` and `effective_rank`; nothing for fewer than 16 images.
  """
  if len(features) < MIN_IMAGES:
    return {}
  rows = jnp.asarray(features[:: -(-len(features) // MAX_IMAGES)])
  return {name: float(value) for name, value in indicators(rows).items()}


def advice(features: np.ndarray) -> str | None:
  """Returns one line if features have collapsed, None otherwise.

  Args:
    features: float [n, D], of an encoder that has been trained.
  """
  found = examine(features)
  return warning(found) if found else None


def warning(indicators: Mapping[str, float]) -> str | None:
  """Returns one line of advice if features have collapsed, or None.

  An untrained encoder can have rather similar features for all images, so
  heed it only once training is under way.

  Args:
    indicators: `feature_std` and `effective_rank` of `indicators`, as numbers.
  """
  std = float(indicators['feature_std'])
  rank = float(indicators['effective_rank'])
  # Written so that NaN counts as collapse.
  if not std >= MIN_STD:
    return (
      f'the features have collapsed: all images get nearly the same one '
      f'(feature_std {std:.3g}, evenly spread features have 1); lower the '
      'learning rate, lengthen the warm-up, and check that the views differ'
    )
  if not rank >= MIN_RANK:
    return (
      f'the features have collapsed to about one direction (effective_rank '
      f'{rank:.3g}); lower the learning rate, use a larger batch or stronger '
      'augmentation'
    )
  return None
