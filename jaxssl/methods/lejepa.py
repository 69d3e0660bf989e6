"""LeJEPA: views agree, and embeddings are a standard normal distribution."""

import dataclasses
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Fraction, check_fields
from jaxssl.methods import contrast, multi_crop, variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MLPHead, Net
from jaxssl.ops.sigreg import random_directions, sigreg

# The authors' projector; the width of the projection is theirs for ImageNette.
projector = functools.partial(
  MLPHead, num_layers=3, hidden_dim=2048, out_dim=128
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeJEPA:
  """Predicts the mean of the global views, regularized by SIGReg.

  With z_v = head(encoder(view v)), float32 [B, K], of all V views, c the mean
  over the first `num_global` views, and `ops.sigreg.sigreg`,

    loss = (1 - lambda) mean_v mean_bk (z_v - c)²
           + lambda mean_v sigreg(z_v)

  There is no slow network, no stopped gradient, no schedule and no predictor:
  that the embeddings are normal keeps them from becoming all the same. SIGReg
  looks along directions that are new in every step; they follow from the number
  of the step, as in the authors' code. It sees the global batch on any number
  of devices.

  One forward pass a resolution (`multi_crop.encode`), all features through the
  head at once.

  State: `stats`, the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K].
    num_global: the first views, whose mean is the target.
    regularization: lambda; the paper looks at 0.01 to 0.1.
    num_directions: directions that SIGReg looks along in a step.

  Raises:
    UserError: for numbers out of range.

  References:
    Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised
    Learning Without the Heuristics, 2025, https://arxiv.org/abs/2511.08544;
    https://github.com/rbalestr-lab/lejepa (its MINIMAL.md has two to eight
    equal views, all of them global).
  """

  encoder: nn.Module
  head: MLPHead = dataclasses.field(default_factory=projector)
  num_global: Count = 2
  regularization: Fraction = 0.05
  num_directions: Count = 1024

  loss = contrast.loss
  embed = multi_crop.embed

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net = Net(self.encoder, self.head)
    initial = net.init(key, batch['views'][0], train=False)
    params, stats = variables.split(initial)
    return params, {'stats': stats}

  def compare(
    self,
    params: PyTree,
    state: PyTree,
    embeddings: PyTree,
    stats: PyTree,
    *,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """See `Contrastive.compare`."""
    z, head_stats = variables.apply_part(
      'head',
      self.head,
      params,
      state['stats'],
      # All views together, so BatchNorm in the head sees V b rows.
      jnp.stack(embeddings),
      axis_name=axis_name,
    )
    directions = random_directions(
      # Of the step alone: parts of a batch and devices must look along the same
      # directions, and the authors' do not depend on a seed either.
      jax.random.fold_in(jax.random.key(0), step),
      z.shape[-1],
      self.num_directions,
    )
    # With its gradient: views move towards the mean, and it towards them.
    center = z[: self.num_global].mean(axis=0, keepdims=True)
    # Of the rows at hand: the train step averages over devices.
    prediction = jnp.mean((z - center) ** 2)
    normality = sigreg(z, directions, axis_name=axis_name)
    share = self.regularization
    loss = (1 - share) * prediction + share * normality
    metrics = {'prediction': prediction, 'sigreg': normality}
    stats = variables.replace(state['stats'], stats, head_stats)
    return loss, Aux(metrics, {'stats': stats})

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}
