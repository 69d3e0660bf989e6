"""MoCo v1 and v2: a query finds its key among a queue of older keys."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Fraction, Positive
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoHead, Net
from jaxssl.ops import contrastive, schedules
from jaxssl.parallel import collectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoCo:
  """Contrasts view 1 with the slow network's view 2 and a queue of its keys.

  The loss is `ops.contrastive.queue_nce` of q = head(encoder(view 1)) and
  k = the same of view 2 through the slow network, whose parameters are

    slow <- m slow + (1 - m) query

  *before* the keys are computed and with the query's parameters before this
  step's update, as in the authors' code. The keys of all devices then replace
  the oldest of the queue, after the loss has used it.

  BatchNorm would let a query recognise its key by the statistics of the batch
  that they share. Hence the encoder's `bn_groups`, each with its own
  statistics, and the key images are permuted over the global batch before the
  slow network sees them (and the keys permuted back). The slow network keeps
  running statistics of its own.

  State: `stats` (query), `slow` (`params` and `stats` of the slow network),
  `queue` float32 [K, D] of norm 1, `pointer` int32 to its oldest row.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out); a ResNet
      with `bn_groups` > 1.
    head: `MoCoHead`, 1 layer in v1, 2 in v2.
    temperature: T; 0.07 in v1, 0.2 in v2.
    momentum: m, a number or a schedule; 0.999.
    queue_size: K; a multiple of the global batch.

  References:
    He et al., Momentum Contrast for Unsupervised Visual Representation
    Learning, 2020, https://arxiv.org/abs/1911.05722 (algorithm 1); Chen et
    al., Improved Baselines with Momentum Contrastive Learning, 2020,
    https://arxiv.org/abs/2003.04297; https://github.com/facebookresearch/moco.

  Differs from the authors' code: running statistics are the mean over
  `bn_groups`, not those of the first device.
  """

  encoder: nn.Module
  head: nn.Module = dataclasses.field(default_factory=MoCoHead)
  temperature: Positive = 0.2
  momentum: Fraction | schedules.Schedule = 0.999
  queue_size: Count = 65536

  @property
  def net(self) -> Net:
    """Encoder and head as one module."""
    return Net(self.encoder, self.head)

  def check_batch(self, rows: int) -> None:
    """Refuses a batch that does not divide the queue.

    Args:
      rows: of the global batch.

    Raises:
      UserError: with a size of the queue that would do.
    """
    if self.queue_size % rows:
      raise errors.UserError(
        f'a queue of {self.queue_size} is no multiple of the batch of {rows}; '
        f'use method.queue_size={max(self.queue_size // rows, 1) * rows}'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, queue_key = jax.random.split(key)
    images = batch['views'][0]
    z, initial = self.net.init_with_output(net_key, images, train=False)
    params, stats = variables.split(initial)
    # Random directions are the negatives until keys have replaced them, as in
    # the authors' code.
    queue = jax.random.normal(queue_key, (self.queue_size, z.shape[-1]))
    return params, {
      'stats': stats,
      'slow': {'params': params, 'stats': stats},
      'queue': contrastive.l2_normalize(queue),
      'pointer': jnp.zeros((), jnp.int32),
    }

  # Not cut into `embed` and `compare`: keys are shuffled over the whole batch,
  # between groups of BatchNorm.
  def loss(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    key: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """See `Method.loss`."""
    view1, view2 = batch['views']
    q_key, k_key = jax.random.split(key)
    q, stats = variables.apply_train(
      self.net,
      params,
      state['stats'],
      view1,
      axis_name=axis_name,
      keys=collectives.row_keys(q_key, len(view1), axis_name),
    )
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow']['params'], params, momentum)
    k, slow_stats = self._keys(
      slow, state['slow']['stats'], view2, k_key, axis_name
    )
    loss, top1 = contrastive.queue_nce(
      q, k, state['queue'], temperature=self.temperature
    )
    carry = {
      'stats': stats,
      'slow': {'params': slow, 'stats': slow_stats},
      # Of all devices, since each has a copy of the queue.
      'new': contrastive.l2_normalize(collectives.gather(k, axis_name)),
    }
    return loss, Aux({'contrastive_top1': top1}, carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`; the keys of this step enter the queue."""
    del step
    new, pointer = carry['new'], state['pointer']
    self.check_batch(len(new))
    # A batch never wraps around, as the queue is a multiple of it. If it did,
    # this function would move the start instead of failing.
    queue = jax.lax.dynamic_update_slice_in_dim(
      state['queue'], new, pointer, axis=0
    )
    return params, {
      'stats': carry['stats'],
      'slow': carry['slow'],
      'queue': queue,
      'pointer': (pointer + len(new)) % self.queue_size,
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the query network's encoder, as the authors'."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def _keys(
    self,
    params: PyTree,
    stats: PyTree,
    images: jax.Array,
    key: jax.Array,
    axis_name: str | None,
  ) -> tuple[jax.Array, PyTree]:
    """Returns keys [b, D] without gradient, and the new statistics."""
    order_key, path_key = jax.random.split(key)
    rows = len(images) * collectives.axis_size(axis_name)
    order = jax.random.permutation(order_key, rows)
    k, stats = variables.apply_train(
      self.net,
      params,
      stats,
      collectives.permute(images, order, axis_name),
      axis_name=axis_name,
      # By the place after the permutation; draws of rows are independent, so it
      # does not matter which image has which.
      keys=collectives.row_keys(path_key, len(images), axis_name),
    )
    # The argsort of a permutation is its inverse: keys stand beside their
    # queries again.
    k = collectives.permute(k, jnp.argsort(order), axis_name)
    return jax.lax.stop_gradient(k), stats
