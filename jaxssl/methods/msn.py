"""MSN: a picture with patches left out belongs to the clusters of the whole."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxssl.fields import (
  Count,
  Fraction,
  MaskRatio,
  Natural,
  NonNegative,
  Positive,
  check_fields,
)
from jaxssl.methods import (
  contrast,
  masked_views,
  multi_crop,
  variables,
  view_rows,
)
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import DINOHead, Net
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.normed_tokens import require_normed_tokens
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, schedules
from jaxssl.ops.assignment import sinkhorn
from jaxssl.ops.distillation import entropy
from jaxssl.parallel import collectives

# The authors'; its last layer has the prototypes.
head = functools.partial(DINOHead, out_dim=1024, use_bn=True)
# Which layer of the head that is.
_PROTOTYPES = 'last_layer'


@dataclasses.dataclass(frozen=True, kw_only=True)
class MSN:
  """Masked siamese networks: anchors are assigned like a target view.

  The slow network sees the first view, the target, as it is. The student sees
  all others: of the next `num_masked` views a part of the patches, the others
  whole, the small focal views. With the cosines s_a and t of their heads'
  outputs with K prototypes, which both networks share,

    p_a = softmax(s_a / T_s)    q = sinkhorn(softmax(t / (T_s T_t)))
    loss = mean over the anchors a and pictures b of -sum_k q[k] log p_a[k]
           + w (ln K - entropy(mean over a and b of p_a))

  The second term, of the mean over the global batch, uses all prototypes; so
  does `ops.assignment.sinkhorn`. At initialisation the loss is about ln K.
  After the optimizer, with the new parameters,

    slow <- m slow + (1 - m) student

  What is left out the encoder does not see, so a step is cheaper, and nothing
  is predicted in its place. Views of one size go through the head together, and
  share its batch statistics, as in the authors' code.

  Metrics: `anchor_loss`, the first term; `disuse`, the second without w;
  `prototypes_used`, exp of the entropy of the mean q.

  State: `stats`, and `slow` (`params` and `stats`).

  Attributes:
    encoder: a ViT; the authors': class token and learned positions.
    head: projector and prototypes in one.
    num_masked: views with patches left out, after the first.
    mask_ratio: share of the patches that is left out; the authors' 0.15 for
      ViT-S, 0.3 for B and 0.7 for L.
    temperature: T_s.
    sharpening: T_t, a number or a schedule; targets are sharper than anchors.
    iterations: of `sinkhorn`; 0 for none.
    momentum: m, a number or a schedule; from 0.996 to 1 along a line.
    spread_weight: w.

  Raises:
    UserError: for an encoder or numbers that do not serve.

  References:
    Assran et al., Masked Siamese Networks for Label-Efficient Learning, 2022,
    https://arxiv.org/abs/2204.07141 (section 3); src/losses.py and
    src/msn_train.py of https://github.com/facebookresearch/msn.

  Differs from the authors' code: each picture leaves out patches of its own,
  theirs the same in all rows of a GPU.
  """

  encoder: ViT
  head: DINOHead = dataclasses.field(default_factory=head)
  num_masked: Count = 1
  mask_ratio: MaskRatio = 0.15
  temperature: Positive = 0.1
  sharpening: Positive | schedules.Schedule = 0.25
  iterations: Natural = 3
  momentum: Fraction | schedules.Schedule = 0.996
  spread_weight: NonNegative = 1.0

  loss = contrast.loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_normed_tokens('msn', self.encoder)
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net = Net(self.encoder, self.head)
    initial = net.init(key, batch['views'][0], train=False)
    params, stats = variables.split(initial)
    return params, {'stats': stats, 'slow': {'params': params, 'stats': stats}}

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
    """See `Contrastive.embed`; the features of a view are [b, D]."""
    del step, axis_name
    views = batch['views']
    multi_crop.check_views('MSN', len(views), 1 + self.num_masked)
    masked = views[1 : 1 + self.num_masked]
    focal = views[1 + self.num_masked :]
    masked_views.check_sizes(masked, 'method.num_masked')
    features, _ = multi_crop.encode(
      self.encoder,
      params,
      {},
      focal,
      keys=fold_keys(keys, 0),
      axis_name=None,
    )
    target, _ = multi_crop.encode(
      momentum_lib.without_noise(self.encoder),
      jax.lax.stop_gradient(state['slow']['params']),
      {},
      views[:1],
      keys=keys,
      axis_name=None,
    )
    embeddings = {
      'masked': self._masked(params, masked, fold_keys(keys, 1)),
      'focal': features,
      'target': target[0],
    }
    return embeddings, {}

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
    del stats
    groups = [embeddings[name] for name in ('masked', 'focal')]
    cosines, head_stats = variables.apply_each(
      'head',
      self.head,
      params,
      state['stats'],
      [jnp.stack(group) for group in groups if group],
      axis_name=axis_name,
    )
    targets, slow_stats = self._targets(
      params, state['slow'], embeddings['target'], step, axis_name
    )
    log_probs = jax.nn.log_softmax(
      jnp.concatenate(cosines) / self.temperature
    )  # [A, b, K]
    anchor_loss = -jnp.mean(jnp.sum(targets[None] * log_probs, axis=-1))
    # Of the global batch: the entropy of a mean is no mean of entropies.
    mean = collectives.pmean(jnp.exp(log_probs).mean((0, 1)), axis_name)
    disuse = jnp.log(float(len(mean))) - entropy(mean)
    used = entropy(collectives.pmean(targets.mean(0), axis_name))
    metrics = {
      'anchor_loss': anchor_loss,
      'disuse': disuse,
      'prototypes_used': jnp.exp(used),
    }
    carry = {
      'stats': variables.replace(state['stats'], head_stats),
      'slow': variables.replace(state['slow']['stats'], slow_stats),
    }
    return anchor_loss + self.spread_weight * disuse, Aux(metrics, carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow']['params'], params, momentum)
    return params, {
      'stats': carry['stats'],
      'slow': {'params': slow, 'stats': carry['slow']},
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the slow encoder, as the authors evaluate."""
    del params
    return {'encoder': variables.tower('encoder', state['slow']['params'], {})}

  def _masked(
    self, params: PyTree, views: list[jax.Array], keys: jax.Array
  ) -> list[jax.Array]:
    """Returns features of views of which a part of the patches is seen."""
    rows, columns = self.encoder.grid_of(views[0])
    count = max(1, int(rows * columns * (1 - self.mask_ratio)))
    view_keys = [fold_keys(keys, v) for v in range(len(views))]
    keep = [
      masking.mask_by_noise(
        masking.row_noise(fold_keys(k, 0), rows * columns), count
      ).keep
      for k in view_keys
    ]
    (features, _), _ = variables.apply_part(
      'encoder',
      self.encoder,
      params,
      {},
      view_rows.interleave(views),
      axis_name=None,
      keys=view_rows.interleave([fold_keys(k, 1) for k in view_keys]),
      keep=view_rows.interleave(keep),
    )
    return [*view_rows.separate(features, len(views))]

  def _targets(
    self,
    params: PyTree,
    slow: PyTree,
    features: jax.Array,
    step: jax.Array,
    axis_name: str | None,
  ) -> tuple[jax.Array, PyTree]:
    """Returns assignments [b, K], and the slow head's new statistics."""
    own = {**slow['params']['head'], _PROTOTYPES: params['head'][_PROTOTYPES]}
    cosines, stats = variables.apply_part(
      'head',
      self.head,
      jax.lax.stop_gradient({'head': own}),
      slow['stats'],
      jax.lax.stop_gradient(features),
      axis_name=axis_name,
    )
    sharpening = schedules.value_at(self.sharpening, step)
    # A softmax to the power of 1 / T, made to sum to 1 again.
    scores = jax.nn.log_softmax(cosines / (self.temperature * sharpening))
    if not self.iterations:
      return jax.lax.stop_gradient(jnp.exp(scores)), stats
    targets = sinkhorn(
      scores, epsilon=1.0, iterations=self.iterations, axis_name=axis_name
    )
    return targets, stats
