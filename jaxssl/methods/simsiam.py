"""SimSiam: predict one view from the other, without a second network."""

import dataclasses
import functools

from flax import linen as nn
import jax

from jaxssl.fields import Count, check_fields
from jaxssl.methods import contrast, variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MLPHead, MoCoV3Head, Net
from jaxssl.ops.agreement import negative_cosine

# The authors' projector on ImageNet; two layers on CIFAR-10.
projector = functools.partial(MoCoV3Head, hidden_dim=2048, out_dim=2048)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimSiam:
  """Predicts the projection of each view from that of the other.

  With z_v = head(encoder(view v)), q_v = predictor(z_v), and
  `ops.agreement.negative_cosine` d,

    loss = (d(q_1, z_2) + d(q_2, z_1)) / 2

  where z has no gradient as a target. It is in [-1, 1], and 0 where a
  prediction has nothing to do with its target. There are no negatives and no
  slow network: the stopped gradient, the predictor and BatchNorm keep the
  features from becoming all the same. Each view goes through the networks by
  itself, so it has its own batch statistics, those of the global batch.

  State: the batch statistics of encoder, head and predictor.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K].
    predictor_dim: width of the predictor's hidden layer, a quarter of K.

  Raises:
    UserError: for numbers out of range.

  References:
    Chen and He, Exploring Simple Siamese Representation Learning, 2021,
    https://arxiv.org/abs/2011.10566 (algorithm 1);
    https://github.com/facebookresearch/simsiam.

  Differs from the authors' code: the predictor's last bias starts from zero.
  """

  encoder: nn.Module
  head: MoCoV3Head = dataclasses.field(default_factory=projector)
  predictor_dim: Count = 512

  loss = contrast.loss
  embed = contrast.embed_each

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  @property
  def predictor(self) -> MLPHead:
    """From projections to predictions of the same width."""
    return MLPHead(
      hidden_dim=self.predictor_dim,
      out_dim=self.head.out_dim,
      dtype=self.head.dtype,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, predictor_key = jax.random.split(key)
    return variables.init_with_predictor(
      net_key,
      predictor_key,
      Net(self.encoder, self.head),
      self.predictor,
      batch['views'][0],
    )

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
    z, head_stats = variables.apply_each(
      'head', self.head, params, state, embeddings, axis_name=axis_name
    )
    q, predictor_stats = variables.apply_each(
      'predictor', self.predictor, params, state, z, axis_name=axis_name
    )
    # With a gradient to its targets all features become one (section 4.1).
    targets = jax.lax.stop_gradient(z)
    loss = negative_cosine(q[0], targets[1]) + negative_cosine(q[1], targets[0])
    stats = variables.replace(state, stats, head_stats, predictor_stats)
    return loss / 2, Aux({}, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}
