"""Training with labels: linear probe, fine-tuning, or from scratch."""

from collections.abc import Mapping, Sequence
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxssl import errors
from jaxssl.fields import DropRate, check_fields
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import row_sums
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models.norm import BatchNorm

# Of the BatchNorm before the classifiers, MAE's.
_NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised:
  """Linear classifiers on the features of the first view.

  loss = Σ_s mean_i CE(softmax(f_i W_s + b_s), y_i)

  S classifiers train at once, one for each of `learning_rates`. Their
  parameters are disjoint, so the gradient of the sum is the gradient of each;
  `scale_by_sweep` behind the optimizer gives each its own learning rate. The
  result is that of S separate runs as long as the optimizer treats every
  number on its own (SGD, momentum, Adam, weight decay); one that looks at whole
  arrays (LARS, clipping) goes through `each_classifier`.

  Where a batch was mixed (`augment.mix`), the target is the mean of the targets
  of both labels, weighted by the row's share. Rows with label −1 carry no
  loss. The others have equal weight in the global batch, however they are
  spread over devices; a batch without any label has loss 0.

  With `frozen`, the encoder runs in evaluation mode (running statistics, no
  drop path), gets no gradient, and lives in `state`; this is the linear probe.
  Otherwise it trains with the classifiers, in training mode; several learning
  rates are then pointless, because the encoder gets the sum of their gradients.

  The classifiers start from zero, as SimCLR's (google-research/simclr,
  tf2/model.py), unless `with_towers` brings one; MoCo and DINO start from
  N(0, 0.01). The problem is convex for a frozen encoder, so the start fades.

  Attributes:
    encoder: module, images -> (features [b, D], out); `evals.probe.Identity`
      for features that are already there.
    num_classes: C; labels are below it.
    learning_rates: factors of the optimizer's learning rate, one a classifier.
    frozen: train the classifiers only.
    label_smoothing: ε; the target is (1 − ε)·one_hot + ε / C.
    normalize: put BatchNorm without scale and bias before the classifiers, as
      MAE's linear probe does (main_linprobe.py of facebookresearch/mae).
    average: m of a moving average of all parameters, slow <- m slow +
      (1 − m) params after every step, which is what comes out; 0: none.
  """

  encoder: nn.Module
  num_classes: int
  learning_rates: tuple[float, ...] = (1.0,)
  frozen: bool = False
  label_smoothing: DropRate = 0.0
  normalize: bool = False
  average: DropRate = 0.0

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    if self.num_classes < 1:
      raise errors.UserError(
        f'supervised training needs classes, got {self.num_classes}; give it '
        'data with labels, for example one subfolder a class'
      )
    if not self.learning_rates or min(self.learning_rates) <= 0:
      raise errors.UserError(
        'learning_rates must be one or more numbers above 0, got '
        f'{self.learning_rates}'
      )
    check_fields(self)

  @property
  def norm(self) -> BatchNorm:
    """What stands before the classifiers with `normalize`."""
    return BatchNorm(use_scale=False, use_bias=False, epsilon=_NORM_EPSILON)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`; trained weights then replace these."""
    (features, _), variables = self.encoder.init_with_output(
      key, batch['views'][0], train=False
    )
    sweep, dim = len(self.learning_rates), features.shape[-1]
    head = {
      'kernel': jnp.zeros((sweep, dim, self.num_classes)),
      'bias': jnp.zeros((sweep, self.num_classes)),
    }
    state = {}
    if self.normalize:
      state['norm'] = self.norm.init(key, features, train=False)
    return self._put_encoder({'head': head}, state, variables)

  def with_towers(
    self, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
  ) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` with classifiers that do not start from zero.

    Args:
      params: parameters from `init`.
      state: state from `init`.
      towers: `classifier`, `kernel` [D, C] and `bias` [C].
    """
    head = jax.tree.map(
      # [D, C] -> [S, D, C]: every classifier of the sweep starts alike.
      lambda old, new: jnp.broadcast_to(new, old.shape),
      params['head'],
      towers['classifier'],
    )
    params = {**params, 'head': head}
    # The average begins at what training begins at.
    return params, {**state, 'slow': params} if self.average else state

  def sums(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[RowSums, PyTree]:
    """See `RowWise.sums`."""
    del step
    features, stats = self._encode(params, state, batch, keys, axis_name)
    if self.normalize:
      # Of all rows, also those without a label.
      features, stats['norm'] = self.norm.apply(
        state['norm'],
        features,
        train=True,
        axis_name=axis_name,
        mutable=['batch_stats'],
      )
    label = batch['label']
    # The one-hot row of label -1 is zero, but smoothing adds to it.
    known = (label >= 0).astype(jnp.float32)
    logits = sweep_logits(params['head'], features)  # [S, b, C]
    entropy = optax.softmax_cross_entropy(logits, self.targets(batch)[None])
    # Of a mixed picture the first label counts.
    right = ((logits.argmax(-1) == label[None]) * known[None]).sum(axis=1)
    return RowSums((entropy * known[None]).sum(), known.sum(), right), stats

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    top1 = sums.seen / jnp.where(sums.weight > 0, sums.weight, 1.0)
    return {n: top1[i] for i, n in enumerate(self._metric_names())}, stats

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del step
    state = {**state, **carry}
    if self.average:
      state['slow'] = momentum_lib.move(state['slow'], params, self.average)
    return params, state

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; `classifiers` returns the rest.

    With `average`, the averaged parameters and the running statistics of the
    trained ones (timm averages those once more).
    """
    if self.frozen:
      return {'encoder': state['encoder']}
    params = state['slow'] if self.average else params
    return {'encoder': {'params': params['encoder'], **state['stats']}}

  def classifiers(self, params: PyTree, state: PyTree) -> PyTree:
    """Returns the classifiers for the features of the exported encoder.

    BatchNorm before them is part of them here: it is linear in evaluation.

    Args:
      params: parameters from `init`.
      state: state from `init`.

    Returns:
      `kernel` [S, D, C] and `bias` [S, C], for `sweep_logits`.
    """
    head = (state['slow'] if self.average else params)['head']
    if not self.normalize:
      return head
    stats = state['norm']['batch_stats']
    # ((f - m) / s) W + b = f (W / s) + b - m (W / s), s with the epsilon of the
    # BatchNorm.
    kernel = head['kernel'] * jax.lax.rsqrt(
      stats['var'][None, :, None] + _NORM_EPSILON
    )
    shift = jnp.einsum('d,sdc->sc', stats['mean'], kernel, precision='highest')
    return {'kernel': kernel, 'bias': head['bias'] - shift}

  def targets(self, batch: Batch) -> jax.Array:
    """Returns the target distributions of a batch, float32 [b, C]."""

    def smoothed(label: jax.Array) -> jax.Array:
      one_hot = jax.nn.one_hot(label, self.num_classes)
      return optax.smooth_labels(one_hot, self.label_smoothing)

    target = smoothed(batch['label'])
    if 'other_label' not in batch:
      return target
    share = batch['label_share'][:, None]
    return share * target + (1.0 - share) * smoothed(batch['other_label'])

  def _put_encoder(
    self, params: PyTree, state: PyTree, variables: PyTree
  ) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` with these variables of the encoder."""
    if self.frozen:
      state = {**state, 'encoder': variables}
    else:
      encoder, stats = variables_lib.split(variables)
      params = {**params, 'encoder': encoder}
      state = {**state, 'stats': stats}
    return params, {**state, 'slow': params} if self.average else state

  def _encode(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    keys: jax.Array,
    axis_name: str | None,
  ) -> tuple[jax.Array, PyTree]:
    """Returns features [b, D] of the first view, and the changes of `state`."""
    images = batch['views'][0]
    if self.frozen:
      features, _ = self.encoder.apply(state['encoder'], images, train=False)
      return jax.lax.stop_gradient(features), {}
    (features, _), stats = variables_lib.apply_train(
      self.encoder,
      params['encoder'],
      state['stats'],
      images,
      axis_name=axis_name,
      keys=keys,
    )
    return features, {'stats': stats}

  def _metric_names(self) -> list[str]:
    if len(self.learning_rates) == 1:
      return ['top1']
    return [f'top1_lr{rate:g}' for rate in self.learning_rates]


def sweep_logits(head: PyTree, features: jax.Array) -> jax.Array:
  """Applies all classifiers of a sweep.

  Args:
    head: `kernel` [S, D, C] and `bias` [S, C].
    features: [b, D].

  Returns:
    float32 [S, b, C].
  """
  features = features.astype(jnp.float32)
  # Accelerators would round the operands of a product to fewer digits. The
  # classifier is small, and its accuracy is what is reported.
  logits = jnp.einsum(
    'bd,sdc->sbc', features, head['kernel'], precision='highest'
  )
  return logits + head['bias'][:, None]


def each_classifier(
  tx: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Runs an optimizer for each classifier of a sweep by itself.

  For algorithms that look at whole arrays, such as LARS. All parameters must
  have the classifier as their first axis, as they have with a frozen encoder.

  Args:
    tx: optimizer of one classifier, `kernel` [D, C] and `bias` [C].
  """
  return optax.GradientTransformation(jax.vmap(tx.init), jax.vmap(tx.update))


def scale_by_sweep(
  learning_rates: Sequence[float],
) -> optax.GradientTransformation:
  """Gives each classifier of a sweep its own learning rate.

  Multiplies the updates of `params['head']` along their first axis and leaves
  all others alone. It belongs at the end of the chain, behind momentum and
  weight decay, where it is exactly a factor of the learning rate:
  `optax.chain(optax.sgd(schedule, 0.9), scale_by_sweep(learning_rates))`.

  Args:
    learning_rates: one factor for each row of the first axis.
  """
  rates = tuple(learning_rates)

  def scale(update: jax.Array) -> jax.Array:
    axes = (-1,) + (1,) * (update.ndim - 1)
    return update * jnp.asarray(rates, update.dtype).reshape(axes)

  def scale_head(updates: PyTree, params: PyTree) -> PyTree:
    del params
    return {**updates, 'head': jax.tree.map(scale, updates['head'])}

  return optax.stateless(scale_head)
