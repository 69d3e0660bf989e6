"""Many linear classifiers at once, one per learning rate, trained by gradient.

The method is `methods.supervised.Supervised`, the step is the one of
pre-training. Published learning rates differ by 10^4 (DINO 0.001, MoCo 30 at
batch 256), because the scale of the features does; so a sweep is trained
together and one entry is chosen on held-out training rows.
"""

from collections.abc import Iterable, Sequence
import itertools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxssl import errors
from jaxssl.evals import labels
from jaxssl.evals.features import Features
from jaxssl.methods import supervised
from jaxssl.methods.base import Batch, PyTree
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train import state as state_lib
from jaxssl.train.learner import Learner


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
  momentum: float,
  warmup_steps: int,
) -> optax.GradientTransformation:
  """Returns SGD with Nesterov momentum and a cosine per step, for a sweep.

  The learning rate of entry s at step t of T is
  learning_rates[s] · batch_size / 256 · (1 + cos(π t / T)) / 2, without weight
  decay, as in the probes of SimCLR's paper and BYOL.

  Args:
    learning_rates: learning rates of the sweep, for batch 256.
    num_steps: T.
    batch_size: rows of the global batch.
    momentum: momentum of SGD.
    warmup_steps: length of a linear warm-up from 0, in steps; the cosine
      follows it.
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
  momentum: float,
  warmup_steps: int,
) -> optax.GradientTransformation:
  """Returns `probe_optimizer` with LARS instead of SGD, as MAE's probe has.

  The variant of `optim.lars`, for each classifier by itself: no weight decay,
  no trust ratio for the bias, no Nesterov.

  Args:
    learning_rates: learning rates of the sweep, for batch 256; MAE's is 0.1.
    num_steps: T.
    batch_size: rows of the global batch.
    momentum: momentum of LARS.
    warmup_steps: length of a linear warm-up from 0, in steps; the cosine
      follows it.

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
  towers = None if variables is None else {'encoder': variables}
  state = mode.init(learner.init, jax.random.key(seed), first, towers)
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
  return (sweep_predicted(head, data, chunk=chunk) == data.labels).mean(axis=1)


def sweep_predicted(
  head: PyTree, data: Features, *, chunk: int = 4096
) -> np.ndarray:
  """Returns the answers of each classifier of a sweep.

  Args:
    head: see `sweep_top1`.
    data: see `sweep_top1`.
    chunk: see `sweep_top1`.

  Returns:
    int32 [S, n]; -1, which is no class, where a logit is not finite.
  """
  parts = []
  for first in range(0, len(data.labels), chunk):
    rows = data.features[first : first + chunk]
    logits = np.asarray(supervised.sweep_logits(head, jnp.asarray(rows)))
    diverged = ~np.isfinite(logits).all(axis=-1)
    parts.append(np.where(diverged, -1, logits.argmax(-1)))
  return np.concatenate(parts, axis=1).astype(np.int32)


def require_answers(predicted: np.ndarray, what: str) -> None:
  """Refuses answers of a classifier that has diverged: 0 % would be no result.

  Args:
    predicted: classes that `sweep_predicted` returns for one classifier.
    what: whose they are, for the message.

  Raises:
    jaxssl.errors.UserError: if a row has no answer.
  """
  if (predicted < 0).any():
    raise errors.UserError(
      f'{what} diverged: its logits of {(predicted < 0).sum()} of '
      f'{len(predicted)} images are not finite; give a smaller one'
    )


def report(
  learning_rates: Sequence[float],
  scores: np.ndarray,
  head: PyTree,
  test: Features,
) -> dict[str, float]:
  """Returns test accuracies, with the choice by the validation scores.

  Args:
    learning_rates: learning rates of the sweep.
    scores: accuracy of each on the validation rows, see `sweep_top1`.
    head: the sweep, trained on all training rows.
    test: features of the test split.

  Raises:
    jaxssl.errors.UserError: if the training with the best one diverged, as it
      does where that of every one has.
  """
  order = np.argsort(learning_rates, kind='stable')
  best = order[np.argmax(scores[order])]
  predicted = sweep_predicted(head, test)
  require_answers(
    predicted[best], f'training at learning rate {learning_rates[best]:g}'
  )
  top1 = (predicted == test.labels).mean(axis=1)
  return {
    **labels.accuracies(predicted[best], test.labels),
    'learning_rate': float(learning_rates[best]),
    'validation_top1': float(scores[best]),
    **{
      f'top1_lr{rate:g}': float(value)
      for rate, value in zip(learning_rates, top1, strict=True)
    },
  }
