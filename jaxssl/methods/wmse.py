"""W-MSE: views agree after their batch was whitened."""

import dataclasses
import functools
import itertools

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.fields import Natural, check_fields
from jaxssl.methods import contrast, variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MLPHead, Net
from jaxssl.ops.agreement import squared_distance
from jaxssl.ops.whitening import whiten

# The authors' projector on CIFAR-10.
projector = functools.partial(MLPHead, hidden_dim=1024, out_dim=64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WMSE:
  """The distance of whitened views, without anything else.

  With z_v = head(encoder(view v)), y_v = `ops.whitening.whiten`(z_v), and
  `ops.agreement.squared_distance` d,

    loss = mean over the pairs v < u of d(y_v, y_u)

  In whitened rows all dimensions vary by 1 and none says what another says, so
  that the features cannot become all the same. There are no negatives, and
  there is no predictor and no second network. Two views or more. The loss is in
  [0, 4], and 2 of views that share nothing.

  All views go through head and encoder one after the other, with batch
  statistics of their own.

  State: the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K].
    group: rows that are whitened together, which must divide the batch and be
      more than K; 0 for all. The authors: 128 of 512 for K = 64.

  Raises:
    UserError: for numbers out of range, or one view.

  References:
    Ermolov et al., Whitening for Self-Supervised Representation Learning, ICML
    2021, https://arxiv.org/abs/2007.06346; methods/w_mse.py of
    https://github.com/htdt/self-supervised.

  Differs from the authors' code: groups are neighbours in the batch, which is
  shuffled, theirs are drawn once more; their head sees all views at once.
  """

  encoder: nn.Module
  head: MLPHead = dataclasses.field(default_factory=projector)
  group: Natural = 0

  loss = contrast.loss
  embed = contrast.embed_each

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net = Net(self.encoder, self.head)
    return variables.split(net.init(key, batch['views'][0], train=False))

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
    if len(embeddings) < 2:
      raise UserError(
        f'WMSE needs at least 2 views, the augmentation makes {len(embeddings)}'
      )
    z, head_stats = variables.apply_each(
      'head', self.head, params, state, embeddings, axis_name=axis_name
    )
    white = [whiten(v, group=self.group, axis_name=axis_name) for v in z]
    # Of the rows at hand: the train step averages over devices.
    loss = jnp.mean(
      jnp.stack(
        [squared_distance(x, y) for x, y in itertools.combinations(white, 2)]
      )
    )
    return loss, Aux({}, variables.replace(state, stats, head_stats))

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}
