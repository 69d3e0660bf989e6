"""BYOL: predict a slow network's view of the same picture, no negatives."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax

from jaxssl.fields import Fraction
from jaxssl.methods import contrast, variables
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import MoCoV3Head, Net
from jaxssl.models.drop_path import fold_keys
from jaxssl.ops import schedules
from jaxssl.ops.agreement import squared_distance

# The authors' projector, and their predictor.
mlp = functools.partial(
  MoCoV3Head, num_layers=2, hidden_dim=4096, out_dim=256, last_bn=False
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BYOL:
  """Predicts what a slow network makes of the other view.

  With q_v = predictor(head(encoder(view v))), k_v = the slow encoder and head
  of view v without gradient, and `ops.agreement.squared_distance` d,

    loss = d(q_1, k_2) + d(q_2, k_1)

  and, after the optimizer and with the new parameters,

    slow <- m slow + (1 - m) params

  The loss is in [0, 8], and 4 where a prediction has nothing to do with its
  target. There are no negatives: the predictor, BatchNorm and the slow network
  keep the features from becoming all the same. The passes are apart, so each
  view has its own batch statistics, those of the global batch. The slow network
  keeps running statistics of its own.

  State: `stats`, and `slow` (`params` and `stats` of encoder and head).

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: projector [b, D] -> [b, K]; the predictor has its shape.
    momentum: m, a number or a schedule; along a cosine to 1, from 0.996 for
      1000 epochs and 0.99 for 100 and 300.

  References:
    Grill et al., Bootstrap Your Own Latent, 2020,
    https://arxiv.org/abs/2006.07733 (algorithm 1, equations 1 to 3);
    byol of https://github.com/google-deepmind/deepmind-research.

  Differs from the authors' code: the layers in front of a BatchNorm have no
  bias, which it would take out; weights start as in PyTorch; the slow network
  starts as a copy, where theirs is drawn for itself; the linear classifier that
  they train beside it on labels is left to evaluations.
  """

  encoder: nn.Module
  head: MoCoV3Head = dataclasses.field(default_factory=mlp)
  momentum: Fraction | schedules.Schedule = 0.996

  loss = contrast.loss

  @property
  def net(self) -> Net:
    """Encoder and projector as one module."""
    return Net(self.encoder, self.head)

  @property
  def predictor(self) -> MoCoV3Head:
    """From projections to predictions of the same width."""
    return mlp(
      hidden_dim=self.head.hidden_dim,
      out_dim=self.head.out_dim,
      dtype=self.head.dtype,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net_key, predictor_key = jax.random.split(key)
    z, initial = self.net.init_with_output(
      net_key, batch['views'][0], train=False
    )
    params, stats = variables.split(initial)
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
    del step
    features, stats = {}, {}
    for n, (name, network) in enumerate(_networks(params, state).items()):
      views, stats[name] = variables.apply_each(
        'encoder',
        self.encoder,
        *network,
        batch['views'],
        axis_name=axis_name,
        # Four passes, each with keys of its own.
        keys=[fold_keys(keys, 2 * v + n) for v in range(2)],
      )
      features[name] = [f for f, _ in views]
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
    del step
    z, heads = {}, {}
    for name, network in _networks(params, state).items():
      z[name], heads[name] = variables.apply_each(
        'head', self.head, *network, embeddings[name], axis_name=axis_name
      )
    # Only the trained network has a predictor: without that difference both
    # networks could agree on one vector for all pictures.
    predictions, predictor_stats = [], state['stats']['predictor']
    for projection in z['fast']:
      q, predictor_stats = variables.apply_train(
        self.predictor,
        params['predictor'],
        predictor_stats,
        projection,
        axis_name=axis_name,
      )
      predictions.append(q)
    targets = jax.lax.stop_gradient(z['slow'])
    # The sum of both directions, as the authors'. Their mean would halve the
    # rates of biases and scales, which LARS does not adapt.
    loss = squared_distance(predictions[0], targets[1])
    loss += squared_distance(predictions[1], targets[0])
    new = {
      name: variables.replace(old, stats[name], heads[name])
      for name, (_, old) in _networks(params, state).items()
    }
    return loss, Aux({}, {**new, 'predictor': predictor_stats})

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    momentum = schedules.value_at(self.momentum, step)
    # With the parameters after this step, as the authors' code; MoCo's slow
    # network moves before the keys are computed.
    slow = momentum_lib.move(state['slow']['params'], params['net'], momentum)
    return params, {
      'stats': {'net': carry['fast'], 'predictor': carry['predictor']},
      'slow': {'params': slow, 'stats': carry['slow']},
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the trained encoder, as the authors'."""
    stats = state['stats']['net']
    return {'encoder': variables.tower('encoder', params['net'], stats)}


def _networks(params: PyTree, state: PyTree) -> Mapping[str, tuple[Any, Any]]:
  """Returns parameters and statistics of encoder and projector, by network."""
  return {
    'fast': (params['net'], state['stats']['net']),
    'slow': (state['slow']['params'], state['slow']['stats']),
  }
