"""SwAV: predict the cluster of one view from another, clusters used alike."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Natural, Positive, check_fields
from jaxssl.methods import contrast, multi_crop, variables
from jaxssl.methods import queue as queue_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MLPHead, Net, initializers
from jaxssl.ops.assignment import sinkhorn
from jaxssl.ops.contrastive import l2_normalize
from jaxssl.ops.distillation import distillation
from jaxssl.parallel import collectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwAV:
  """Swapped assignments between views, online.

  With unit vectors z_v = head(encoder(view v)) / |.| of all V views, and
  prototypes c_k of length 1, the scores are s_v = z_v . c. The targets q_i of
  the first `num_global` G views are `ops.assignment.sinkhorn` of s_i, without
  gradient: every prototype gets as many images of the batch as the others.

    loss = mean over the pairs (i, v), v != i, of mean_b
           -sum_k q_i[k] log softmax(s_v / T)[k]

  A small batch cannot be spread over many prototypes. A queue of embeddings of
  earlier batches then takes part in the assignment; it is filled from the step
  `queue_start` on, and used once it is full. After the optimizer the prototypes
  are made unit vectors again.

  One forward pass a resolution (`multi_crop.encode`), all features through the
  head at once.

  State: `stats`; with a queue also `queue` [G, Q, K] and `filled`, its rows.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K].
    num_prototypes: clusters. Freeze them for the first epoch by a rule of the
      optimizer: `{'match': 'prototypes', 'freeze_epochs': 1}`.
    num_global: G, the first views, of which targets are made.
    temperature: T.
    epsilon: weight of the entropy in `sinkhorn`; take a smaller one if the loss
      stays at ln(num_prototypes).
    iterations: how often `sinkhorn` divides columns and rows.
    queue_size: Q, images; 0 for none. The authors have 3840 for batches of 256.
    queue_start: step from which on it is filled; about 15 epochs there.

  Raises:
    UserError: for numbers out of range.

  References:
    Caron et al., Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments, 2020, https://arxiv.org/abs/2006.09882 (section 3,
    algorithm 1); main_swav.py of https://github.com/facebookresearch/swav.

  Differs from the authors' code: one queue of the global batch instead of one a
  GPU; BatchNorm sees the global batch, theirs groups of eight GPUs; the last
  bias of the head starts from zero.
  """

  encoder: nn.Module
  head: MLPHead = dataclasses.field(default_factory=MLPHead)
  num_prototypes: Count = 3000
  num_global: Count = 2
  temperature: Positive = 0.1
  epsilon: Positive = 0.05
  iterations: Count = 3
  queue_size: Natural = 0
  queue_start: Natural = 0

  loss = contrast.loss
  embed = multi_crop.embed

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, prototype_key = jax.random.split(key)
    z, initial = Net(self.encoder, self.head).init_with_output(
      net_key, batch['views'][0], train=False
    )
    params, stats = variables.split(initial)
    # Beside encoder and head: `update` keeps them at length 1, and a rule of
    # the optimizer freezes them by name.
    shape = (z.shape[-1], self.num_prototypes)
    kernel = initializers.torch_kernel(prototype_key, shape, jnp.float32)
    params = {**params, 'prototypes': {'kernel': _unit_columns(kernel)}}
    if not self.queue_size:
      return params, {'stats': stats}
    return params, {
      'stats': stats,
      'queue': jnp.zeros((self.num_global, self.queue_size, z.shape[-1])),
      'filled': jnp.zeros((), jnp.int32),
    }

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
    z, head_stats = variables.apply_part(
      'head',
      self.head,
      params,
      state['stats'],
      jnp.stack(embeddings),
      axis_name=axis_name,
    )
    z = l2_normalize(z)
    prototypes = params['prototypes']['kernel']
    scores = z @ prototypes  # [V, b, P]
    targets = jnp.stack(
      [
        # A problem for each view: its rows spread over all prototypes.
        sinkhorn(
          scores[i],
          epsilon=self.epsilon,
          iterations=self.iterations,
          axis_name=axis_name,
          **self._queued(state, i, prototypes),
        )
        for i in range(self.num_global)
      ]
    )
    loss = distillation(targets, scores, temperature=self.temperature)
    carry = {'stats': variables.replace(state['stats'], stats, head_stats)}
    if self.queue_size:
      # Rows first for a moment: `gather` joins the first axis.
      new = jax.lax.stop_gradient(z[: self.num_global]).swapaxes(0, 1)
      carry['new'] = collectives.gather(new, axis_name).swapaxes(0, 1)
    # Perplexity: as many prototypes, used alike, would have this entropy.
    used = collectives.pmean(targets.mean((0, 1)), axis_name)
    entropy = jax.scipy.special.entr(used).sum()
    return loss, Aux({'prototypes_used': jnp.exp(entropy)}, carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    # The authors do this before a forward pass; here `loss` changes no
    # parameters, and every loss sees unit vectors all the same.
    kernel = _unit_columns(params['prototypes']['kernel'])
    params = {**params, 'prototypes': {'kernel': kernel}}
    if not self.queue_size:
      return params, {'stats': carry['stats']}
    starts = step >= self.queue_start
    pushed = queue_lib.push(state['queue'], carry['new'])
    filled = state['filled'] + carry['new'].shape[1]
    return params, {
      'stats': carry['stats'],
      'queue': jnp.where(starts, pushed, state['queue']),
      'filled': jnp.where(starts, jnp.minimum(filled, self.queue_size), 0),
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def _queued(
    self, state: PyTree, i: int, prototypes: jax.Array
  ) -> dict[str, jax.Array]:
    """Returns what the queue of global view i adds to the assignment."""
    if not self.queue_size:
      return {}
    return {
      # Older embeddings, but the prototypes of now.
      'others': state['queue'][i] @ prototypes,
      # A factor and no branch: only the running step knows.
      'weight': (state['filled'] == self.queue_size).astype(jnp.float32),
    }


def _unit_columns(kernel: jax.Array) -> jax.Array:
  # As PyTorch's `normalize`: a lower bound on the norm.
  length = jnp.linalg.norm(kernel, axis=0, keepdims=True)
  return kernel / jnp.maximum(length, 1e-12)
