"""Linear probe by stochastic gradient descent, many learning rates at once.

The protocol of most papers on self-supervised learning: a linear classifier on
the frozen encoder, SGD with momentum, cosine schedule; MAE's is LARS behind a
BatchNorm. Published learning rates
differ by 10^4 (DINO 0.001, MoCo 30 at batch 256), because the scale of the
features does; so ten are trained together and one is chosen on held-out
training rows. The method is `methods.supervised.Supervised`, the step is the
one of pre-training.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import functools
import itertools
from typing import Any

from flax import linen as nn
import jax
import numpy as np
import optax

from jaxssl import errors
from jaxssl.evals import features as features_lib
from jaxssl.evals import holdout
from jaxssl.evals.features import Features
from jaxssl.methods import supervised
from jaxssl.methods.base import Batch, PyTree
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train import state as state_lib
from jaxssl.train.learner import Learner

# For batch 256; the published ones of all methods lie between.
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
BATCH_SIZE = 256
EPOCHS = 100
MOMENTUM = 0.9


class Identity(nn.Module):
  """The encoder of features that are already there."""

  def __call__(
    self,
    images: jax.Array,
    train: bool = False,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Returns the features [b, D] that it is given.

    Args:
      images: features [b, D].
      train: unused, as all that follow; part of every encoder's signature.
      axis_name: unused.
      keys: unused.
    """
    del train, axis_name, keys
    return images, {}


def probe_optimizer(
  learning_rates: Sequence[float],
  *,
  num_steps: int,
  batch_size: int,
  momentum: float = MOMENTUM,
  warmup_steps: int = 0,
) -> optax.GradientTransformation:
  """Returns SGD with Nesterov momentum and a cosine per step, for a sweep.

  The learning rate of entry s at step t of T is
  learning_rates[s] · batch_size / 256 · (1 + cos(π t / T)) / 2, without warm-up
  and weight decay, as in the probes of SimCLR's paper and BYOL.

  Args:
    learning_rates: of the sweep, for batch 256.
    num_steps: T.
    batch_size: rows of the global batch.
    momentum: of SGD.
    warmup_steps: of a linear warm-up from 0; the cosine follows it.
  """
  schedule = _schedule(batch_size, num_steps, warmup_steps)
  return optax.chain(
    optax.sgd(schedule, momentum=momentum, nesterov=True),
    supervised.scale_by_sweep(learning_rates),
  )


def lars_probe_optimizer(
  learning_rates: Sequence[float],
  *,
  num_steps: int,
  batch_size: int,
  momentum: float = MOMENTUM,
  warmup_steps: int = 0,
) -> optax.GradientTransformation:
  """Returns `probe_optimizer` with LARS instead of SGD, as MAE's probe has.

  The variant of `optim.lars`, for each classifier by itself: no weight decay,
  no trust ratio for the bias, no Nesterov.

  Args:
    learning_rates: of the sweep, for batch 256; MAE's is 0.1.
    num_steps: T.
    batch_size: rows of the global batch.
    momentum: of LARS.
    warmup_steps: of a linear warm-up from 0; the cosine follows it.

  References:
    main_linprobe.py and util/lars.py of facebookresearch/mae.
  """
  lars = optim.make_optimizer(
    name='lars',
    learning_rate=_schedule(batch_size, num_steps, warmup_steps),
    exclude='ndim<=1',
    momentum=momentum,
  )
  return optax.chain(
    supervised.each_classifier(lars),
    supervised.scale_by_sweep(learning_rates),
  )


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  'sgd': probe_optimizer,
  'lars': lars_probe_optimizer,
}


def _schedule(
  batch_size: int, num_steps: int, warmup_steps: int
) -> schedules.Schedule:
  """Returns the learning rate of the entry 1.0 of a sweep."""
  return schedules.cosine(
    start=batch_size / 256, num_steps=num_steps, warmup_steps=warmup_steps
  )


def fit(
  method: supervised.Supervised,
  batches: Iterable[Batch],
  *,
  augment: state_lib.Augment,
  tx: optax.GradientTransformation,
  num_steps: int,
  variables: PyTree | None = None,
  mode: modes.Mode | None = None,
  seed: int = 0,
) -> PyTree:
  """Trains the classifiers of a sweep.

  Args:
    method: encoder, classes and learning rates.
    batches: training batches with `label`, at least `num_steps`.
    augment: makes `batch['views']`; the first view is used.
    tx: optimizer, see `probe_optimizer`.
    num_steps: steps to train.
    variables: weights of the encoder; None where it has none.
    mode: compile mode; None runs on one device, which is the fastest for
      features that are already there.
    seed: seed of the augmentation.

  Returns:
    `kernel` [S, D, C] and `bias` [S, C], NumPy; see `Supervised.classifiers`.
  """
  mode = mode or modes.Jit(modes.make_mesh(jax.local_devices()[:1]))
  learner = Learner(method=method, augment=augment, tx=tx)
  batches = iter(batches)
  first = next(batches)

  state = mode.init(learner.init, jax.random.key(seed), first, variables)
  step = mode.compile(learner.step)
  for batch in itertools.islice(itertools.chain([first], batches), num_steps):
    state, _ = step(state, mode.put_batch(batch))
  state = mode.get_state(state)
  return modes.to_host(method.classifiers(state.params, state.method_state))


def sweep_top1(
  head: PyTree, data: Features, *, chunk: int = 4096
) -> np.ndarray:
  """Measures the accuracy of each classifier of a sweep.

  Args:
    head: `kernel` [S, D, C] and `bias` [S, C].
    data: features, all labels known.
    chunk: rows at a time.

  Returns:
    float64 [S], fractions in [0, 1].
  """
  right = 0
  for first in range(0, len(data.labels), chunk):
    rows = slice(first, first + chunk)
    logits = supervised.sweep_logits(head, data.features[rows])
    right += (np.asarray(logits.argmax(-1)) == data.labels[rows]).sum(axis=1)
  return right / len(data.labels)


def linear_eval(
  train: Features,
  test: Features,
  *,
  learning_rates: Sequence[float] = LEARNING_RATES,
  batch_size: int = BATCH_SIZE,
  epochs: int = EPOCHS,
  momentum: float = MOMENTUM,
  optimizer: str = 'sgd',
  warmup_epochs: float = 0.0,
  normalize: bool = False,
  validation_share: float = 0.2,
  seed: int = 0,
) -> dict[str, float]:
  """Measures the linear probe on features computed once.

  Published probes see random crops and flips of the training images; this one
  sees one feature an image, so the encoder runs once an image, and is a
  protocol of its own. `image_linear_eval` is the published form.

  The sweep is trained on a part of the training rows to choose the learning
  rate by accuracy on the rest (the smaller of equals), then on all of them.

  Args:
    train: features of the training split; rows without a label are ignored.
    test: features of the test split; rows without a label are ignored.
    learning_rates: of the sweep, for batch 256.
    batch_size: rows of a step; at most the number of training rows is used.
    epochs: passes over the training rows.
    momentum: of the optimizer.
    optimizer: key of `OPTIMIZERS`.
    warmup_epochs: passes with a learning rate that rises linearly from 0.
    normalize: put BatchNorm without scale and bias before the classifiers.
    validation_share: part of the training rows to choose on.
    seed: seed of the order of the rows and of the held-out ones.

  Returns:
    `top1` of the chosen learning rate, a fraction of the test rows;
    `learning_rate` and `validation_top1` of the choice; `top1_lr<rate>` of
    every learning rate; `num_train`, `num_test`.

  Raises:
    jaxssl.errors.UserError: if a split has no label, or names other classes,
      no class has two training rows, the optimizer is unknown, or the warm-up
      is not shorter than the training.
  """
  if optimizer not in OPTIMIZERS:
    raise errors.unknown('optimizer of a linear probe', optimizer, OPTIMIZERS)
  num_classes = features_lib.num_classes_of(train, test)
  train = features_lib.labelled(train, 'train')
  test = features_lib.labelled(test, 'test')
  part, validation = holdout.stratified(
    train, share=validation_share, seed=seed
  )
  probe = functools.partial(
    _fit_features,
    num_classes=num_classes,
    learning_rates=tuple(learning_rates),
    batch_size=batch_size,
    epochs=epochs,
    warmup_epochs=warmup_epochs,
    make_tx=functools.partial(OPTIMIZERS[optimizer], momentum=momentum),
    normalize=normalize,
    seed=seed,
  )
  scores = sweep_top1(probe(part), validation)
  return _report(learning_rates, scores, probe(train), test) | {
    'num_train': len(train.labels),
    'num_test': len(test.labels),
  }


def image_linear_eval(
  encoder: nn.Module,
  variables: PyTree,
  batches: Iterable[Batch],
  validation: Features,
  test: Features,
  *,
  augment: state_lib.Augment,
  num_steps: int,
  batch_size: int,
  learning_rates: Sequence[float] = LEARNING_RATES,
  momentum: float = MOMENTUM,
  mode: modes.Mode | None = None,
  seed: int = 0,
) -> dict[str, float]:
  """Measures the linear probe trained on augmented images.

  The published form: random resized crop and flip of the training images, one
  centre crop of the test images, encoder in evaluation mode throughout.

  Args:
    encoder: module, images -> (features, out).
    variables: its weights.
    batches: training batches of images with labels, at least `num_steps`; they
      must not hold the images of `validation`.
    validation: features of images held out of training, by which the learning
      rate is chosen.
    test: features of the test images.
    augment: makes `batch['views']`, for example the recipe `crop_flip`.
    num_steps: steps to train; epochs · images / batch_size.
    batch_size: rows of the global batch.
    learning_rates: of the sweep, for batch 256.
    momentum: of SGD (Nesterov).
    mode: compile mode; None takes all devices in the global view.
    seed: seed of the augmentation.

  Returns:
    As `linear_eval`, without `num_train`.

  Raises:
    jaxssl.errors.UserError: if a split has no label, or names other classes, or
      the weights are of another encoder.
  """
  num_classes = features_lib.num_classes_of(validation, test)
  validation = features_lib.labelled(validation, 'validation')
  test = features_lib.labelled(test, 'test')
  head = fit(
    supervised.Supervised(
      encoder=encoder,
      num_classes=num_classes,
      learning_rates=tuple(learning_rates),
      frozen=True,
    ),
    batches,
    augment=augment,
    tx=probe_optimizer(
      learning_rates,
      num_steps=num_steps,
      batch_size=batch_size,
      momentum=momentum,
    ),
    num_steps=num_steps,
    variables=variables,
    mode=mode or modes.Jit(modes.make_mesh()),
    seed=seed,
  )
  scores = sweep_top1(head, validation)
  return _report(learning_rates, scores, head, test) | {
    'num_test': len(test.labels)
  }


def _fit_features(
  data: Features,
  *,
  num_classes: int,
  learning_rates: tuple[float, ...],
  batch_size: int,
  epochs: int,
  warmup_epochs: float,
  make_tx: Callable[..., optax.GradientTransformation],
  normalize: bool,
  seed: int,
) -> PyTree:
  """Trains the sweep on features."""
  batch_size = min(batch_size, len(data.labels))
  steps_per_epoch = len(data.labels) / batch_size
  num_steps = max(1, int(epochs * steps_per_epoch))
  return fit(
    supervised.Supervised(
      encoder=Identity(),
      num_classes=num_classes,
      learning_rates=learning_rates,
      normalize=normalize,
      frozen=True,
    ),
    _batches(data, batch_size, seed),
    augment=_as_views,
    tx=make_tx(
      learning_rates,
      num_steps=num_steps,
      batch_size=batch_size,
      warmup_steps=round(warmup_epochs * steps_per_epoch),
    ),
    num_steps=num_steps,
    seed=seed,
  )


def _batches(data: Features, batch_size: int, seed: int) -> Iterator[Batch]:
  """Yields full batches of shuffled epochs that follow each other endlessly."""
  random = np.random.default_rng(seed)
  rows = np.empty(0, np.int64)
  while True:
    while len(rows) < batch_size:
      rows = np.concatenate([rows, random.permutation(len(data.labels))])
    now, rows = rows[:batch_size], rows[batch_size:]
    yield {'image': data.features[now], 'label': data.labels[now]}


def _as_views(key: jax.Array, batch: Batch, axis_name: str | None) -> Batch:
  """The augmentation of features: none."""
  del key, axis_name
  return {**batch, 'views': (batch['image'],)}


def _report(
  learning_rates: Sequence[float],
  scores: np.ndarray,
  head: PyTree,
  test: Features,
) -> dict[str, float]:
  """Returns test accuracies, with the choice by the validation scores."""
  order = np.argsort(learning_rates, kind='stable')
  best = order[np.argmax(scores[order])]
  top1 = sweep_top1(head, test)
  return {
    'top1': float(top1[best]),
    'learning_rate': float(learning_rates[best]),
    'validation_top1': float(scores[best]),
    **{
      f'top1_lr{rate:g}': float(value)
      for rate, value in zip(learning_rates, top1, strict=True)
    },
  }
