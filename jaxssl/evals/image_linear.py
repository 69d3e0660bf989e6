"""The linear probe in its published form: trained on augmented images."""

import contextlib
import dataclasses
from typing import ClassVar

import numpy as np

from jaxssl.augment import recipes
from jaxssl.augment.any_channels import for_bands
from jaxssl.data.source import Source
from jaxssl.data.subset import Subset
from jaxssl.evals import holdout, images, labels, probe
from jaxssl.evals.needs import LabelledImages
from jaxssl.evals.table import headline
from jaxssl.fields import Count, DropRate, MaskRatio, Positive, check_fields
from jaxssl.methods import supervised
from jaxssl.methods.base import PyTree
from jaxssl.parallel import modes
from jaxssl.weights.exported import ExportedEncoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageLinear:
  """Linear classifiers by SGD on random crops and flips of the images.

  The encoder is in evaluation mode throughout and sees each training image
  anew, through a random resized crop and a flip (`recipes.crop_flip`); the test
  images get a centre crop. The sweep is trained on a part of the training
  images to choose the learning rate by accuracy on the rest (the smaller of
  equals), then on all of them. Nothing is kept of a stopped run.

  Attributes:
    learning_rates: learning rates of the sweep, for batch 256.
    batch_size: images per step, over all devices.
    epochs: passes over the training images.
    momentum: Nesterov momentum of SGD.
    validation_share: share of the training images to choose on.
    seed: seed of the order, the crops and the held-out images.
  """

  name = 'linear_images-v1'
  needs: ClassVar[type] = LabelledImages
  learning_rates: tuple[Positive, ...] = (
    *(0.001, 0.003, 0.01, 0.03, 0.1),
    *(0.3, 1.0, 3.0, 10.0, 30.0),
  )
  batch_size: Count = 256
  epochs: Positive = 100.0
  momentum: DropRate = 0.9
  validation_share: MaskRatio = 0.2
  seed: int = 0

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def run(
    self, exported: ExportedEncoder, train_source: Source, test_source: Source
  ) -> dict[str, float]:
    """Measures the accuracy.

    Args:
      exported: the encoder.
      train_source: training images; those without a label are ignored.
      test_source: test images with labels of the same classes.

    Returns:
      As `linear.Linear.run`, and `num_steps` of the last training.

    Raises:
      jaxssl.errors.UserError: if the classes of the splits differ, no class has
        two training images, or the batch does not divide over the devices.
    """
    images.check_batch(self.batch_size)
    num_classes = images.num_classes_of(train_source, test_source)
    known = images.labels_of(train_source)
    rows = np.flatnonzero(known >= 0)
    classes = train_source.class_names
    held_out = holdout.stratified_rows(
      known[rows], share=self.validation_share, seed=self.seed
    )
    part, validation, whole = (
      Subset(train_source, chosen)
      for chosen in (rows[~held_out], rows[held_out], rows)
    )
    scores = probe.sweep_top1(
      self._fit(exported, part, num_classes),
      images.features_of(
        exported, validation, 'validation', class_names=classes
      ),
    )
    head = self._fit(exported, whole, num_classes)
    test = images.features_of(
      exported, test_source, 'test', class_names=classes
    )
    return probe.report(self.learning_rates, scores, head, test) | {
      'num_steps': self._num_steps(whole),
      'num_train': whole.num_examples,
      'num_test': len(test.labels),
    }

  def _num_steps(self, source: Source) -> int:
    return max(1, int(self.epochs * source.num_examples / self.batch_size))

  def _fit(
    self, exported: ExportedEncoder, source: Source, num_classes: int
  ) -> PyTree:
    """Trains the sweep on the images of a source."""
    augment = for_bands(
      recipes.crop_flip(size=exported.image_size),
      exported.preprocessing.bands,
      mean=exported.mean,
      std=exported.std,
    )
    num_steps = self._num_steps(source)
    batches = images.train_batches(
      source, augment, batch_size=self.batch_size, seed=self.seed
    )
    with contextlib.closing(batches):
      return probe.fit(
        supervised.Supervised(
          encoder=exported.encoder,
          num_classes=num_classes,
          learning_rates=self.learning_rates,
          frozen=True,
        ),
        batches,
        augment=augment,
        tx=probe.probe_optimizer(
          self.learning_rates,
          num_steps=num_steps,
          batch_size=self.batch_size,
          momentum=self.momentum,
          warmup_steps=0,
        ),
        num_steps=num_steps,
        variables=exported.variables,
        mode=modes.Jit(modes.make_mesh()),
        seed=self.seed,
      )
