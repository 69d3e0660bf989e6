"""Linear probe by stochastic gradient descent on features computed once.

The protocol of most papers on self-supervised learning is a linear classifier
on the frozen encoder, SGD with momentum, cosine schedule; MAE's is LARS behind
a BatchNorm.
"""

from collections.abc import Callable, Iterator
import dataclasses
from typing import ClassVar

import jax
import numpy as np
import optax

from jaxssl import errors
from jaxssl.evals import holdout, labels, probe
from jaxssl.evals.features import Features
from jaxssl.evals.needs import FrozenFeatures
from jaxssl.evals.table import headline
from jaxssl.fields import (
  Count,
  DropRate,
  MaskRatio,
  NonNegative,
  Positive,
  check_fields,
)
from jaxssl.methods import supervised
from jaxssl.methods.base import Batch, PyTree

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  'sgd': probe.probe_optimizer,
  'lars': probe.lars_probe_optimizer,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
  """Linear classifiers by gradient on cached features.

  Published probes see random crops and flips of the training images; this one
  sees one feature per image, so the encoder runs once per image, and is a
  protocol of its own. `image_linear.ImageLinear` is the published form.

  The sweep is trained on a part of the training rows to choose the learning
  rate by accuracy on the rest (the smaller of equals), then on all of them.

  Attributes:
    name: name and version.
    learning_rates: learning rates of the sweep, for batch 256.
    batch_size: rows per step; at most the number of training rows is used.
    epochs: passes over the training rows.
    momentum: momentum of the optimizer (SGD: Nesterov).
    optimizer: sgd or lars.
    warmup_epochs: passes with a learning rate that rises linearly from 0.
    normalize: puts BatchNorm without scale and bias before the classifiers.
    validation_share: share of the training rows to choose on.
    seed: seed of the order of the rows and of the held-out ones.
  """

  needs: ClassVar[type] = FrozenFeatures
  name: str = 'linear_sgd-v1'
  learning_rates: tuple[Positive, ...] = (
    *(0.001, 0.003, 0.01, 0.03, 0.1),
    *(0.3, 1.0, 3.0, 10.0, 30.0),
  )
  batch_size: Count = 256
  epochs: Count = 100
  momentum: DropRate = 0.9
  optimizer: str = 'sgd'
  warmup_epochs: NonNegative = 0.0
  normalize: bool = False
  validation_share: MaskRatio = 0.2
  seed: int = 0

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for an unknown optimizer."""
    check_fields(self)
    if self.optimizer not in OPTIMIZERS:
      raise errors.unknown(
        'optimizer of a linear probe', self.optimizer, OPTIMIZERS
      )

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """Measures the accuracy; rows without a label are ignored.

    Args:
      train: features of the training split.
      test: features of the test split.

    Returns:
      `top1` of the chosen learning rate, a fraction of the test rows, and
      `mean_per_class`, its mean over classes;
      `learning_rate` and `validation_top1` of the choice; `top1_lr<rate>` of
      every learning rate; `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if a split has no label, or names other classes,
        no class has two training rows, or the warm-up is not shorter than the
        training.
    """
    train, test, num_classes = labels.of_both(train, test)
    part, validation = holdout.stratified(
      train, share=self.validation_share, seed=self.seed
    )
    scores = probe.sweep_top1(self._fit(part, num_classes), validation)
    head = self._fit(train, num_classes)
    return probe.report(self.learning_rates, scores, head, test) | {
      'num_train': len(train.labels),
      'num_test': len(test.labels),
    }

  def _fit(self, data: Features, num_classes: int) -> PyTree:
    """Trains the sweep on features."""
    batch_size = min(self.batch_size, len(data.labels))
    steps_per_epoch = len(data.labels) / batch_size
    num_steps = max(1, int(self.epochs * steps_per_epoch))
    return probe.fit(
      supervised.Supervised(
        encoder=probe.Identity(),
        num_classes=num_classes,
        learning_rates=self.learning_rates,
        normalize=self.normalize,
        frozen=True,
      ),
      _batches(data, batch_size, self.seed),
      augment=_as_views,
      tx=OPTIMIZERS[self.optimizer](
        self.learning_rates,
        num_steps=num_steps,
        batch_size=batch_size,
        momentum=self.momentum,
        warmup_steps=round(self.warmup_epochs * steps_per_epoch),
      ),
      num_steps=num_steps,
      seed=self.seed,
    )


# MAE's, on features computed once; its learning rate is the first.
MAE = Linear(
  name='linear_mae-v1',
  learning_rates=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
  batch_size=16384,
  epochs=90,
  optimizer='lars',
  warmup_epochs=10.0,
  normalize=True,
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
