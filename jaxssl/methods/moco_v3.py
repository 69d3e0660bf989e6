"""MoCo v3: queries of one view find the slow network's keys of the other."""

from collections.abc import Sequence
import dataclasses

from flax import linen as nn
import jax

from jaxssl.fields import Count, Fraction, Positive
from jaxssl.methods import contrast, variables
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoV3Head, Net, ViT, reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.ops import contrastive, schedules

_NETWORKS = ('fast', 'slow')


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
  head: MoCoV3Head = dataclasses.field(default_factory=MoCoV3Head)
  predictor_last_bn: bool = True
  temperature: Positive = 0.2
  momentum: Fraction | schedules.Schedule = 0.99
  chunk: Count | None = None

  loss = contrast.loss

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

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, predictor_key, redraw_key = jax.random.split(key, 3)
    z, initial = self.net.init_with_output(
      net_key, batch['views'][0], train=False
    )
    params, stats = variables.split(initial)
    # The authors prescribe values for ViTs; ResNets stay as they start.
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
    features, stats = {}, {}
    for n, name in enumerate(_NETWORKS):
      features[name], stats[name] = variables.apply_each(
        'encoder',
        self.encoder,
        *self._network(name, params, state, step),
        batch['views'],
        axis_name=axis_name,
        # Four passes, each with keys of its own.
        keys=[fold_keys(keys, 2 * v + n) for v in range(2)],
      )
    features = {name: [f for f, _ in views] for name, views in features.items()}
    return {**features, 'slow': jax.lax.stop_gradient(features['slow'])}, stats

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
    z, networks = {}, {}
    for name in _NETWORKS:
      network, old = self._network(name, params, state, step)
      z[name], new = variables.apply_each(
        'head', self.head, network, old, embeddings[name], axis_name=axis_name
      )
      new = variables.replace(old, stats[name], new)
      networks[name] = {'params': network, 'stats': new}
    queries, predictor_stats = self._predict(
      params, state, z['fast'], axis_name
    )
    keys = jax.lax.stop_gradient(z['slow'])
    loss1, top1 = self._contrast(queries[0], keys[1], axis_name)
    loss2, top2 = self._contrast(queries[1], keys[0], axis_name)
    carry = {
      'stats': {
        'net': networks['fast']['stats'],
        'predictor': predictor_stats,
      },
      'slow': networks['slow'],
    }
    metrics = {'contrastive_top1': (top1 + top2) / 2}
    # The authors' factor: a small temperature makes logits, and with them the
    # gradient, larger by 1 / T. Their learning rates count on it.
    return 2 * self.temperature * (loss1 + loss2), Aux(metrics, carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    # The slow network has moved already, in `loss`.
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the trained encoder, as the authors'."""
    return {
      'encoder': variables.tower(
        'encoder', params['net'], state['stats']['net']
      )
    }

  def _network(
    self, name: str, params: PyTree, state: PyTree, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """Returns parameters and statistics of encoder and projector."""
    if name == 'fast':
      return params['net'], state['stats']['net']
    # Made anew wherever it is asked for, as it follows from these alone.
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow']['params'], params['net'], momentum)
    return slow, state['slow']['stats']

  def _predict(
    self,
    params: PyTree,
    state: PyTree,
    projections: Sequence[jax.Array],
    axis_name: str | None,
  ) -> tuple[list[jax.Array], PyTree]:
    """Returns queries of each view, and the predictor's new statistics."""
    queries, stats = [], state['stats']['predictor']
    for z in projections:
      q, stats = variables.apply_train(
        self.predictor, params['predictor'], stats, z, axis_name=axis_name
      )
      queries.append(q)
    return queries, stats

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
