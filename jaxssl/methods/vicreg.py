"""VICReg: views agree, dimensions vary, and no two say the same."""

import dataclasses
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import NonNegative
from jaxssl.methods import contrast, variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoV3Head, Net
from jaxssl.ops import decorrelation

# The authors' expander: wide, and without a BatchNorm at its end.
expander = functools.partial(
  MoCoV3Head, hidden_dim=8192, out_dim=8192, last_bn=False
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VICReg:
  """Invariance of two views, variance and covariance of each.

  With z_v = head(encoder(view v)), float32 [B, K], and
  `ops.decorrelation.spread`,

    loss = λ mean (z_1 − z_2)² + μ (V(z_1) + V(z_2)) / 2 + ν (C(z_1) + C(z_2))

  The variance keeps every dimension from becoming constant, the covariance
  keeps two from saying the same. Nothing is normalised, and the two views could
  have networks of their own. Each view goes through the networks by itself.
  Variance and covariance are those of the global batch on any number of
  devices.

  State: the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: expander [b, D] -> [b, K].
    invariance: λ.
    variance: μ.
    covariance: ν.

  References:
    Bardes et al., VICReg: Variance-Invariance-Covariance Regularization for
    Self-Supervised Learning, ICLR 2022, https://arxiv.org/abs/2105.04906;
    main_vicreg.py of https://github.com/facebookresearch/vicreg, whose factors
    these are: its hinges are halved over the views, where equation 6 adds them.

  Differs from the authors' code: the expander's hidden layers have no bias,
  which the BatchNorm behind it would take out.
  """

  encoder: nn.Module
  head: MoCoV3Head = dataclasses.field(default_factory=expander)
  invariance: NonNegative = 25.0
  variance: NonNegative = 25.0
  covariance: NonNegative = 1.0

  loss = contrast.loss
  embed = contrast.embed_each

  @property
  def net(self) -> Net:
    """Encoder and projector as one module."""
    return Net(self.encoder, self.head)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    return variables.split(self.net.init(key, batch['views'][0], train=False))

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
    del step
    (z1, z2), head_stats = variables.apply_each(
      'head', self.head, params, state, embeddings, axis_name=axis_name
    )
    first, second = (
      decorrelation.spread(z, axis_name=axis_name) for z in (z1, z2)
    )
    # Of the rows at hand: the train step averages over devices.
    invariance = jnp.mean((z1 - z2) ** 2)
    # Halved, where the covariance is a sum: the authors' code.
    variance = (first.variance + second.variance) / 2
    covariance = first.covariance + second.covariance
    loss = (
      self.invariance * invariance
      + self.variance * variance
      + self.covariance * covariance
    )
    metrics = {
      'invariance': invariance,
      'variance': variance,
      'covariance': covariance,
    }
    return loss, Aux(metrics, variables.replace(state, stats, head_stats))

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}
