"""MoCo v3: queries of one view find the slow network's keys of the other."""

import dataclasses

from flax import linen as nn
import jax

from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import variables
from jaxssl.methods.base import Aux
from jaxssl.models import MoCoV3Head, Net, ViT, reinitialize
from jaxssl.ops import contrastive, schedules
from jaxssl.parallel import collectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoCoV3:
  """Symmetric contrast between a predictor's queries and a slow network's keys.

  With q_v = predictor(head(encoder(view v))), k_v = the slow encoder and head
  of view v without gradient, and `ops.contrastive.info_nce`,

    loss = 2 T (info_nce(q_1, k_2) + info_nce(q_2, k_1))

  The slow network moves, slow <- m slow + (1 - m) params, *before* the keys are
  computed and with the parameters before this step's update, as in the
  authors' code. The four forward passes are apart, so each view has its own
  batch statistics. The slow network keeps running statistics of its own.

  ViTs train stably with a frozen random patch projection; that is a rule of
  the optimizer: `{'match': 'patch_embed', 'freeze_steps': -1}`. They start from
  Xavier's values (`models.reinitialize.moco_v3`); with the encoder's
  `stem='conv'` and 11 blocks they are the authors' `vit_conv_small`.

  State: `stats`, and `slow` (`params` and `stats` of encoder and head).

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out); for a ViT
      the authors use `position='sincos_moco'`.
    head: projector; 3 layers for ViTs, 2 for ResNets.
    predictor_last_bn: end the predictor in a BatchNorm; False for ResNets. It
      has 2 layers of the projector's widths.
    temperature: T; 0.2 for ViTs, 1 for ResNets.
    momentum: m, a number or a schedule; from 0.99 to 1 along a cosine.
    chunk: columns of the matrix of logits at a time (`ops.negatives`); None for
      all, which is faster as long as they fit into memory.

  References:
    Chen et al., An Empirical Study of Training Self-Supervised Vision
    Transformers, 2021, https://arxiv.org/abs/2104.02057 (algorithm 1, equation
    1); https://github.com/facebookresearch/moco-v3.
  """

  encoder: nn.Module
  head: nn.Module = dataclasses.field(default_factory=MoCoV3Head)
  predictor_last_bn: bool = True
  temperature: float = 0.2
  momentum: float = 0.99
  chunk: int | None = None

  @property
  def net(self) -> Net:
    """Encoder and projector as one module."""
    return Net(self.encoder, self.head)

  @property
  def predictor(self) -> MoCoV3Head:
    """From projections to predictions of the same width."""
    return MoCoV3Head(
      num_layers=2,
      hidden_dim=self.head.hidden_dim,
      out_dim=self.head.out_dim,
      last_bn=self.predictor_last_bn,
      dtype=self.head.dtype,
    )

  def init(self, key, batch):
    """See `Method.init`."""
    net_key, predictor_key, redraw_key = jax.random.split(key, 3)
    z, initial = self.net.init_with_output(
      net_key, batch['views'][0], train=False
    )
    params, stats = variables.split(initial)
    if isinstance(self.encoder, ViT):
      encoder = reinitialize.moco_v3(redraw_key, params['encoder'])
      params = {**params, 'encoder': encoder}
    predictor, predictor_stats = variables.split(
      self.predictor.init(predictor_key, z, train=False)
    )
    return {'net': params, 'predictor': predictor}, {
      'stats': {'net': stats, 'predictor': predictor_stats},
      'slow': {'params': params, 'stats': stats},
    }

  def loss(self, params, state, batch, *, key, step, axis_name=None):
    """See `Method.loss`."""
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow']['params'], params['net'], momentum)
    stats, slow_stats = state['stats'], state['slow']['stats']
    queries, keys = [], []
    for v, view in enumerate(batch['views']):
      q_key, k_key = jax.random.split(jax.random.fold_in(key, v))
      q, stats = self._queries(params, stats, view, q_key, axis_name)
      k, slow_stats = self._project(slow, slow_stats, view, k_key, axis_name)
      queries.append(q)
      keys.append(jax.lax.stop_gradient(k))
    loss1, top1 = self._contrast(queries[0], keys[1], axis_name)
    loss2, top2 = self._contrast(queries[1], keys[0], axis_name)
    carry = {'stats': stats, 'slow': {'params': slow, 'stats': slow_stats}}
    metrics = {'contrastive_top1': (top1 + top2) / 2}
    return 2 * self.temperature * (loss1 + loss2), Aux(metrics, carry)

  def update(self, params, state, carry, *, step):
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params, state):
    """See `Method.export`; the trained encoder, as the authors'."""
    return {
      'encoder': variables.tower(
        'encoder', params['net'], state['stats']['net']
      )
    }

  def _queries(self, params, stats, view, key, axis_name):
    z, net_stats = self._project(
      params['net'], stats['net'], view, key, axis_name
    )
    q, predictor_stats = self.predictor.apply(
      {'params': params['predictor'], **stats['predictor']},
      z,
      train=True,
      axis_name=axis_name,
      mutable=list(stats['predictor']),
    )
    return q, {'net': net_stats, 'predictor': predictor_stats}

  def _project(self, params, stats, view, key, axis_name):
    return variables.apply_train(
      self.net,
      params,
      stats,
      view,
      axis_name=axis_name,
      keys=collectives.row_keys(key, len(view), axis_name),
    )

  def _contrast(self, queries, keys, axis_name):
    return contrastive.info_nce(
      queries,
      keys,
      temperature=self.temperature,
      chunk=self.chunk,
      axis_name=axis_name,
    )
