"""Training with labels: linear probe, fine-tuning, or from scratch."""

from collections.abc import Sequence
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxssl import errors
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.parallel import collectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised:
  """Linear classifiers on the features of the first view.

  loss = Σ_s mean_i CE(softmax(f_i W_s + b_s), y_i)

  S classifiers train at once, one for each of `learning_rates`. Their
  parameters are disjoint, so the gradient of the sum is the gradient of each;
  `scale_by_sweep` behind the optimizer gives each its own learning rate. The
  result is that of S separate runs as long as the optimizer treats every
  number on its own (SGD, momentum, Adam, weight decay; not LARS or clipping,
  which look at whole arrays).

  Rows with label −1 carry no loss. The others have equal weight in the global
  batch, however they are spread over devices; a batch without any label has
  loss 0.

  With `frozen`, the encoder runs in evaluation mode (running statistics, no
  drop path), gets no gradient, and lives in `state`; this is the linear probe.
  Otherwise it trains with the classifiers, in training mode; several learning
  rates are then pointless, because the encoder gets the sum of their gradients.

  The classifiers start from zero, as SimCLR's (google-research/simclr,
  tf2/model.py); MoCo and DINO start from N(0, 0.01). The problem is convex for
  a frozen encoder, so the start fades.

  Attributes:
    encoder: module, images -> (features [b, D], out); `evals.linear.Identity`
      for features that are already there.
    num_classes: C; labels are below it.
    learning_rates: factors of the optimizer's learning rate, one a classifier.
    frozen: train the classifiers only.
    label_smoothing: ε; the target is (1 − ε)·one_hot + ε / C.
  """

  encoder: nn.Module
  num_classes: int
  learning_rates: tuple[float, ...] = (1.0,)
  frozen: bool = True
  label_smoothing: float = 0.0

  def __post_init__(self):
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
    if not 0 <= self.label_smoothing < 1:
      raise errors.UserError(
        f'label_smoothing must be in [0, 1), got {self.label_smoothing}'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`; `with_encoder` then puts trained weights in."""
    (features, _), variables = self.encoder.init_with_output(
      key, batch['views'][0], train=False
    )
    sweep, dim = len(self.learning_rates), features.shape[-1]
    head = {
      'kernel': jnp.zeros((sweep, dim, self.num_classes)),
      'bias': jnp.zeros((sweep, self.num_classes)),
    }
    if self.frozen:
      return {'head': head}, {'encoder': variables}
    params, stats = variables_lib.split(variables)
    return {'encoder': params, 'head': head}, {'stats': stats}

  def with_encoder(
    self, params: PyTree, state: PyTree, variables: PyTree
  ) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` with these weights in the encoder.

    Args:
      params: of `init`.
      state: of `init`.
      variables: Flax variables of the encoder, as `Method.export` returns them.

    Raises:
      jaxssl.errors.UserError: if they are of another architecture.
    """
    old = self.export(params, state)['encoder']
    if jax.tree.map(jnp.shape, old) != jax.tree.map(jnp.shape, variables):
      raise errors.UserError(
        'the weights are of another encoder: names or shapes of their arrays '
        'differ; give the encoder section of the run that made them'
      )
    if self.frozen:
      return params, {**state, 'encoder': variables}
    encoder, stats = variables_lib.split(variables)
    return {**params, 'encoder': encoder}, {**state, 'stats': stats}

  def loss(self, params, state, batch, *, key, step, axis_name=None):
    """See `Method.loss`."""
    del step
    features, carry = self._encode(params, state, batch, key, axis_name)
    label = batch['label']
    known = (label >= 0).astype(jnp.float32)
    # Devices can hold different numbers of labels: every device divides by the
    # same number, so that the average over devices weighs all labels equally.
    count = collectives.pmean(known.sum(), axis_name)
    weight = (known / jnp.where(count > 0, count, 1.0))[None]
    target = optax.smooth_labels(
      jax.nn.one_hot(label, self.num_classes), self.label_smoothing
    )
    logits = sweep_logits(params['head'], features)
    entropy = optax.softmax_cross_entropy(logits, target[None])
    top1 = ((logits.argmax(-1) == label[None]) * weight).sum(axis=1)
    metrics = {n: top1[i] for i, n in enumerate(self._metric_names())}
    return (entropy * weight).sum(), Aux(metrics, carry)

  def update(self, params, state, carry, *, step):
    """See `Method.update`."""
    del step
    return params, state if self.frozen else {'stats': carry}

  def export(self, params, state):
    """See `Method.export`; the classifiers stay in `params['head']`."""
    if self.frozen:
      return {'encoder': state['encoder']}
    return {'encoder': {'params': params['encoder'], **state['stats']}}

  def _encode(self, params, state, batch, key, axis_name):
    """Returns features [b, D] of the first view, and the new statistics."""
    images = batch['views'][0]
    if self.frozen:
      features, _ = self.encoder.apply(state['encoder'], images, train=False)
      return jax.lax.stop_gradient(features), ()
    (features, _), stats = variables_lib.apply_train(
      self.encoder,
      params['encoder'],
      state['stats'],
      images,
      axis_name=axis_name,
      keys=collectives.row_keys(key, len(images), axis_name),
    )
    return features, stats

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
  logits = jnp.einsum(
    'bd,sdc->sbc', features, head['kernel'], precision='highest'
  )
  return logits + head['bias'][:, None]


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
