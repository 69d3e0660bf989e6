"""NNCLR: a picture's nearest neighbour, not the picture, is the positive."""

import dataclasses
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Positive, check_fields
from jaxssl.methods import contrast, variables
from jaxssl.methods import queue as queue_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoV3Head, Net
from jaxssl.ops import contrastive
from jaxssl.parallel import collectives

# The authors' projector.
projector = functools.partial(MoCoV3Head, hidden_dim=2048, out_dim=256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NNCLR:
  """Contrasts the neighbour of one view with predictions of the other.

  With z_v = head(encoder(view v)), p_v = predictor(z_v), n_v the row of the
  support set with the largest cosine to z_v, without gradient, and
  `ops.contrastive.info_nce`,

    loss = (info_nce(n_1, p_2) + info_nce(n_2, p_1)) / 2

  The support set is a queue of the projections z_1 of earlier batches, and
  starts as random directions. Each view goes through the networks by itself, so
  it has its own batch statistics. `neighbor_similarity` among the metrics is
  the mean cosine of z_v and n_v.

  State: `stats` of the networks, and `queue` [Q, K], unit vectors.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K].
    predictor_dim: width of the predictor's hidden layer.
    temperature: T.
    queue_size: Q, rows of the support set; 98304 in the paper.
    chunk: columns of the matrix of logits at a time (`ops.negatives`); None for
      all, which is faster as long as they fit into memory.

  Raises:
    UserError: for numbers out of range.

  References:
    Dwibedi et al., With a Little Help from My Friends: Nearest-Neighbor
    Contrastive Learning of Visual Representations, ICCV 2021,
    https://arxiv.org/abs/2104.14548 (section 3). The authors published no code.
  """

  encoder: nn.Module
  head: MoCoV3Head = dataclasses.field(default_factory=projector)
  predictor_dim: Count = 4096
  temperature: Positive = 0.1
  queue_size: Count = 98304
  chunk: Count | None = None

  loss = contrast.loss

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  @property
  def predictor(self) -> MoCoV3Head:
    """From projections to predictions of the same width."""
    return MoCoV3Head(
      num_layers=2,
      hidden_dim=self.predictor_dim,
      out_dim=self.head.out_dim,
      last_bn=False,
      dtype=self.head.dtype,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, predictor_key, queue_key = jax.random.split(key, 3)
    params, stats = variables.init_with_predictor(
      net_key,
      predictor_key,
      Net(self.encoder, self.head),
      self.predictor,
      batch['views'][0],
    )
    queue = jax.random.normal(queue_key, (self.queue_size, self.head.out_dim))
    return params, {'stats': stats, 'queue': contrastive.l2_normalize(queue)}

  def embed(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[PyTree, PyTree]:
    """See `Contrastive.embed`."""
    return contrast.embed_each(
      self,
      params,
      state['stats'],
      batch,
      keys=keys,
      step=step,
      axis_name=axis_name,
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
      'head',
      self.head,
      params,
      state['stats'],
      embeddings,
      axis_name=axis_name,
    )
    p, predictor_stats = variables.apply_each(
      'predictor',
      self.predictor,
      params,
      state['stats'],
      z,
      axis_name=axis_name,
    )
    # Which row is nearest has no gradient; encoder and head learn through the
    # predictions alone.
    z = [contrastive.l2_normalize(jax.lax.stop_gradient(v)) for v in z]
    (n1, near1), (n2, near2) = (nearest(v, state['queue']) for v in z)
    # Each neighbour looks for the prediction of the other view among those of
    # the global batch, through all of which the gradient flows.
    loss1, top1 = self._contrast(n1, p[1], axis_name)
    loss2, top2 = self._contrast(n2, p[0], axis_name)
    carry = {
      'stats': variables.replace(
        state['stats'], stats, head_stats, predictor_stats
      ),
      # Of all devices, since each has a copy of the queue.
      'new': collectives.gather(z[0], axis_name),
    }
    metrics = {
      'contrastive_top1': (top1 + top2) / 2,
      'neighbor_similarity': (near1 + near2).mean() / 2,
    }
    return (loss1 + loss2) / 2, Aux(metrics, carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`; the projections of this step join the queue."""
    del step
    queue = queue_lib.push(state['queue'], carry['new'])
    return params, {'stats': carry['stats'], 'queue': queue}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def _contrast(
    self, queries: jax.Array, keys: jax.Array, axis_name: str | None
  ) -> tuple[jax.Array, jax.Array]:
    return contrastive.info_nce(
      queries,
      keys,
      temperature=self.temperature,
      chunk=self.chunk,
      axis_name=axis_name,
    )


def nearest(z: jax.Array, support: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns each row's neighbour [b, K] with the largest cosine, and that [b].

  Args:
    z: float32 [b, K], unit vectors.
    support: float32 [Q, K], unit vectors.
  """
  # A neighbour that rounding chooses is another neighbour.
  cosines = jnp.matmul(z, support.T, precision='highest')
  best = jnp.argmax(cosines, axis=1)
  return support[best], jnp.max(cosines, axis=1)
