"""Barlow Twins: two views agree in every dimension, and dimensions differ."""

import dataclasses
import functools

from flax import linen as nn
import jax

from jaxssl.errors import UserError
from jaxssl.fields import NonNegative, check_fields
from jaxssl.methods import contrast, variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoV3Head, Net
from jaxssl.ops import decorrelation

# The authors' projector; its last BatchNorm, without scale and bias, makes the
# columns that the loss correlates.
projector = functools.partial(MoCoV3Head, hidden_dim=8192, out_dim=8192)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BarlowTwins:
  """Makes the cross-correlation of two views the identity matrix.

  With z_v = head(encoder(view v)), each column normalised over the batch, and
  C = 1/B z_1ᵀ z_2,

    loss = Σ_i (1 − C_ii)² + λ Σ_{i≠j} C_ij²

  There are no negatives and no second network: an encoder that says the same
  of every picture has nothing to normalise. Each view goes through the
  networks by itself, so it has its own batch statistics. C is that of the
  global batch on any number of devices.

  State: the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K]; it must end in a BatchNorm.
    off_diagonal: λ; 0.0051 with K = 8192.

  References:
    Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy
    Reduction, 2021, https://arxiv.org/abs/2103.03230 (algorithm 1);
    https://github.com/facebookresearch/barlowtwins.

  Raises:
    UserError: if the head does not end in a BatchNorm.
  """

  encoder: nn.Module
  head: MoCoV3Head = dataclasses.field(default_factory=projector)
  off_diagonal: NonNegative = 0.0051

  loss = contrast.loss
  embed = contrast.embed_each

  def __post_init__(self):
    """Raises `UserError` for a head whose columns are not normalised."""
    check_fields(self)
    if not self.head.last_bn:
      raise UserError(
        'barlow_twins correlates normalised projections; set '
        'head.last_bn to True'
      )

  @property
  def net(self) -> Net:
    """Encoder and projector as one module."""
    return Net(self.encoder, self.head)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    # Only shapes matter, and both views have the same. In evaluation mode
    # nothing is drawn, so no keys of rows are needed.
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
    # The gradient goes through the sum over devices. The authors' does not: on
    # W devices theirs is 1/W of this one. LARS hides that from kernels, not
    # from biases and scales, which it does not adapt.
    correlation = decorrelation.cross_correlation(z1, z2, axis_name=axis_name)
    loss = decorrelation.barlow_twins(
      correlation, off_diagonal=self.off_diagonal
    )
    # 1 where the views agree in every dimension; 0 where they share nothing.
    metrics = {'mean_correlation': decorrelation.diagonal(correlation).mean()}
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
