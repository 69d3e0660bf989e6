"""Linear depth: how far each pixel is, from frozen patch features.

As DINOv2 reports it (arXiv:2304.07193, section 7.4, "lin. 1"): a linear layer
gives a distribution over 256 depths, whose mean is the answer (AdaBins with
linear normalisation), trained with the scale-invariant loss of Eigen et al.
2014 (arXiv:1406.2283).
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.data import dense
from jaxssl.data import targets as targets_lib
from jaxssl.data.dense import Pictures
from jaxssl.data.source import Source
from jaxssl.data.targets import Kind
from jaxssl.evals import dense_head, sliding
from jaxssl.evals.needs import DenseFeatures
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.table import headlines

_FINER = 4  # the map of depths has so many places a patch, in each direction
_FLOOR = 0.1  # of the weight of each depth, as the authors have it
_EPSILON = 1e-3  # in the logarithms of the loss
_SCALE_SHARE = 0.15  # how much a common factor of all depths costs
_SAMPLE = 997  # depths of a picture that the median is taken of


class Depths(NamedTuple):
  """What the training pictures have.

  Attributes:
    low: smallest known depth.
    high: largest.
    middle: median of a sample.
  """

  low: float
  high: float
  middle: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearDepth:
  """A linear layer on frozen patch features that says how far each pixel is.

  Differs from the authors' configs: the class token is not joined to the
  patches; the head has a BatchNorm, as for segmentation; no loss on gradients.

  Attributes:
    steps: steps of training.
    batch_size: windows per step.
    learning_rate: the largest one of AdamW.
    weight_decay: of AdamW.
    warmup_steps: steps in which the rate rises from 0; it falls in a line.
    bins: depths of the distribution, evenly between low and high.
    low: smallest depth; none is that of the training pictures.
    high: largest depth; none is that of the training pictures.
    size: side of a window in pixels; none is that of the encoder's pictures.
    side: what the shorter side of a picture becomes; none is that of a window.
    seed: seed of the order, the windows and the first weights.
  """

  name = 'linear_depth-v1'
  needs: ClassVar[type] = DenseFeatures
  target: ClassVar[Kind] = 'depth'
  steps: int = 1000
  batch_size: int = 16
  learning_rate: float = 0.01
  weight_decay: float = 1e-4
  warmup_steps: int = 50
  bins: int = 256
  low: float | None = None
  high: float | None = None
  size: int | None = None
  side: int | None = None
  seed: int = 0

  table = headlines('rmse', 'abs_rel', 'delta1', in_percent=False)

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers that make no sense."""
    if min(self.steps, self.batch_size, self.bins - 1) < 1:
      raise errors.UserError(
        'steps and batch_size must be at least 1, bins 2, not '
        f'{self.steps}, {self.batch_size} and {self.bins}'
      )

  def check(self, *sources: Source) -> None:
    """Refuses sources without depth; see `Evaluation.check`."""
    for source in sources:
      targets_lib.require(source, 'depth')

  def run(
    self, patches: PatchEncoder, train: Pictures, test: Pictures
  ) -> dict[str, float]:
    """Trains the head and measures it.

    Args:
      patches: the encoder.
      train: training pictures with depth.
      test: test pictures with depth.

    Returns:
      What `errors_of` returns, each the mean over the test pictures;
      `constant_rmse` and so on, those of the median training depth; `low` and
      `high`; `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if there is no known depth, no picture can be
        read, or the training diverges.
    """
    depths = self._depths(train)
    side = dense.side_of(self.side, patches.size)
    windows = dense.Windows(
      size=patches.size, side=side, interpolation=patches.interpolation
    )
    centers = np.linspace(depths.low, depths.high, self.bins, dtype=np.float32)
    variables = dense_head.fit(
      dense_head.encoded(
        patches,
        dense.window_batches(
          train, windows, batch_size=self.batch_size, seed=self.seed
        ),
      ),
      num_outputs=self.bins,
      loss=functools.partial(_loss, centers),
      training=dense_head.Training(
        num_steps=self.steps,
        learning_rate=self.learning_rate,
        weight_decay=self.weight_decay,
        warmup_steps=self.warmup_steps,
        seed=self.seed,
      ),
    )
    predict = dense_head.predictor(patches, variables, self.bins)
    found = sliding.predictions(
      _then(predict, centers),
      sliding.windowed(test, patches, side=side),
      size=patches.size,
      batch_size=self.batch_size,
    )
    return {
      **_report(((truth, maps[..., 0]) for truth, maps in found), depths),
      'low': depths.low,
      'high': depths.high,
      'num_train': train.num_read,
      'num_test': test.num_read,
    }

  def _depths(self, train: Pictures) -> Depths:
    lows, highs, sample = [], [], []
    for depth in train.only_targets():
      known = depth[np.isfinite(depth)]
      if known.size:
        lows.append(known.min())
        highs.append(known.max())
        sample.append(known[:: -(-known.size // _SAMPLE)])
    if not lows:
      raise errors.UserError(f'{train.source.name}: no depth is known')
    low = float(min(lows)) if self.low is None else self.low
    high = float(max(highs)) if self.high is None else self.high
    if not 0 < low < high:
      raise errors.UserError(
        f'depths go from {low:g} to {high:g}; give --low and --high, both '
        'above 0'
      )
    return Depths(low, high, float(np.median(np.concatenate(sample))))


def expected_depth(outputs: jax.Array, centers: np.ndarray) -> jax.Array:
  """Returns the mean depth of a distribution, [...] of outputs [..., B].

  d = Σ_i p_i c_i,  p_i = (relu(o_i) + 0.1) / Σ_j (relu(o_j) + 0.1)

  Args:
    outputs: of the linear layer.
    centers: c, [B].
  """
  weights = jax.nn.relu(outputs) + _FLOOR
  shares = weights / weights.sum(axis=-1, keepdims=True)
  return jnp.einsum('...b,b->...', shares, centers, precision='highest')


def scale_invariant_loss(predicted: jax.Array, depth: jax.Array) -> jax.Array:
  """Returns the loss of the pixels whose depth is known.

  L = sqrt(Var(g) + 0.15 mean(g)²),  g = ln(d̂ + 0.001) - ln(d + 0.001)

  The variance is the unbiased one. As `SigLoss` of the authors' code, without
  its first 100 steps, in which the variance does not count.

  Args:
    predicted: positive, any shape.
    depth: of the same shape, NaN where unknown.
  """
  known = jnp.isfinite(depth)
  count = jnp.maximum(known.sum(), 2)
  # The inner `where` keeps the gradient of what is unknown finite.
  truth = jnp.where(known, depth, 1.0)
  ratio = jnp.log(predicted + _EPSILON) - jnp.log(truth + _EPSILON)
  mean = jnp.where(known, ratio, 0.0).sum() / count
  spread = jnp.where(known, (ratio - mean) ** 2, 0.0).sum() / (count - 1)
  # At 0 the root has no gradient.
  return jnp.sqrt(jnp.maximum(spread + _SCALE_SHARE * mean**2, 1e-12))


def errors_of(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
  """Returns the errors of one picture, over the pixels that are known.

  Args:
    truth: depth, NaN where unknown, with at least one known pixel.
    predicted: positive, of the same shape.

  Returns:
    `abs_rel` = mean |d̂ - d| / d; `rmse` = sqrt(mean (d̂ - d)²), in the unit of
    the depth; `delta1`, the share with max(d̂ / d, d / d̂) < 1.25.
  """
  known = np.isfinite(truth)
  d, p = truth[known].astype(np.float64), predicted[known].astype(np.float64)
  return {
    # First: a share, which a report can show in per cent.
    'abs_rel': float((abs(p - d) / d).mean()),
    'rmse': float(np.sqrt(((p - d) ** 2).mean())),
    'delta1': float((np.maximum(p / d, d / p) < 1.25).mean()),
  }


def _loss(
  centers: np.ndarray, outputs: jax.Array, depth: jax.Array
) -> jax.Array:
  places = _finer(outputs, centers)[..., None]
  predicted = dense_head.to_pixels(places, depth.shape[1])[..., 0]
  return scale_invariant_loss(predicted, depth)


def _finer(outputs: jax.Array, centers: np.ndarray) -> jax.Array:
  """Returns depths of a finer map than that of the patches, [b, 4 h, 4 w]."""
  finer = dense_head.to_pixels(outputs, _FINER * outputs.shape[1])
  return expected_depth(finer, centers)


def _then(
  predict: Callable[[np.ndarray], jax.Array], centers: np.ndarray
) -> Callable[[np.ndarray], jax.Array]:
  @jax.jit
  def depths(outputs: jax.Array) -> jax.Array:
    return _finer(outputs, centers)[..., None]

  return lambda images: depths(predict(images))


def _report(
  answers: Iterator[tuple[np.ndarray, np.ndarray]], depths: Depths
) -> dict[str, float]:
  found, constant = [], []
  for truth, predicted in answers:
    if np.isfinite(truth).any():
      found.append(errors_of(truth, predicted))
      constant.append(errors_of(truth, np.full(truth.shape, depths.middle)))
  if not found:
    raise errors.UserError('no pixel of the test pictures has a known depth')
  return {
    **_mean(found),
    **{f'constant_{name}': value for name, value in _mean(constant).items()},
  }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
