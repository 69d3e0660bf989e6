"""The classifier of a run for tests of robustness: kNN, or zero-shot."""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import functools
from typing import Any

import numpy as np

from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import labels as labels_lib
from jaxssl.evals import zeroshot
from jaxssl.evals.classifiers import NEIGHBOURS, TEXTS
from jaxssl.evals.features import Features
from jaxssl.evals.knn import Knn
from jaxssl.evals.needs import Batch, Judge
from jaxssl.evals.zeroshot import ZeroShot
from jaxssl.runs import sources
from jaxssl.runs.baselines import TRAINED
from jaxssl.runs.opened import OpenedRun
from jaxssl.weights.exported import ExportedEncoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
  """What a run makes of images whose classes it knows.

  Attributes:
    evaluation: the protocol behind it.
    source: the test images that the classifier is made for.
    exported: the image encoder.
    encode: uint8 images -> features.
    judge: features of labelled images, labels that may be answered (None: all)
      -> metrics with `top1` and `num_test`.
    limit: at most so many images of a set.
    class_names: names of the classes, in whose order `judge` takes labels.
  """

  evaluation: Knn | ZeroShot
  source: Source
  exported: ExportedEncoder
  encode: Callable[[Any], Any]
  judge: Judge
  limit: int | None
  class_names: tuple[str, ...]

  def batches(self, source: Source) -> Iterator[Batch]:
    """Returns the evaluation batches of a source."""
    return sources.batches(source, self.exported, limit=self.limit)

  def features(self, source: Source) -> Features:
    """Returns the features of a source."""
    return features_lib.extract(
      self.encode, self.batches(source), class_names=source.class_names or ()
    )

  def reference(self) -> Features:
    """Returns the features of `source`, labels in the order of the classes."""
    return labels_lib.matched(self.features(self.source), self.class_names)

  def classify(self, batches: Iterable[Batch]) -> dict[str, float]:
    """Returns the metrics of evaluation batches of `source`."""
    names = self.source.class_names or ()
    found = features_lib.extract(self.encode, batches, class_names=names)
    return dict(self.judge(found, None))


def make_classifier(
  run: OpenedRun, wanted: Knn | ZeroShot | None
) -> Classifier:
  """Returns the classifier of a run.

  Args:
    run: the run with its data.
    wanted: the protocol; None: zero-shot for an image-text run, else kNN of
      the training split.

  Raises:
    UserError: for data without labels, or arguments of the other kind.
  """
  wanted = wanted or (TEXTS if run.has_text else NEIGHBOURS)
  if isinstance(wanted, ZeroShot):
    return _zero_shot(run, wanted)
  return _neighbours(run, wanted)


def _neighbours(run: OpenedRun, evaluation: Knn) -> Classifier:
  if run.split:
    raise UserError(
      '--split is for zero-shot classification by an image-text run; kNN takes '
      '--train_split and --test_split'
    )
  exported = run.exported
  evaluation.check(run.splits.train_source, run.splits.test_source)
  encode = features_lib.encode_fn(
    exported.encoder, exported.variables, exported.normalize
  )

  @functools.cache
  def bank() -> Features:
    return run.splits.features('train', TRAINED, encode)

  def judge(test: Features, among: np.ndarray | None) -> dict[str, float]:
    return evaluation.run(_rows_of(bank(), among), test)

  return Classifier(
    evaluation=evaluation,
    source=run.splits.test_source,
    exported=exported,
    encode=encode,
    judge=judge,
    limit=run.choice.limit,
    class_names=tuple(run.splits.train_source.class_names or ()),
  )


def _rows_of(bank: Features, among: np.ndarray | None) -> Features:
  """Returns the rows of the bank that have one of these labels."""
  if among is None:
    return bank
  kept = np.isin(bank.labels, among)
  return Features(bank.features[kept], bank.labels[kept], bank.class_names)


def _zero_shot(run: OpenedRun, evaluation: ZeroShot) -> Classifier:
  if not run.has_text:
    raise UserError(
      '--templates and --classes are for zero-shot classification by an '
      'image-text run'
    )
  if run.train_split or run.test_split:
    raise UserError(
      'zero-shot classification looks at one split; give --split instead of '
      '--train_split and --test_split'
    )
  source, model = run.source, run.towers
  evaluation.check(source)
  classes = zeroshot.encode_classes(
    model.encode_text,
    evaluation.names(tuple(source.class_names or ())),
    evaluation.templates,
  )

  def judge(test: Features, among: np.ndarray | None) -> dict[str, float]:
    if among is None:
      return zeroshot.zeroshot_eval(test, classes)
    # Labels by their place among the classes that may be answered.
    place = np.full(len(classes), -1, np.int32)
    place[among] = np.arange(len(among))
    labels = np.where(test.labels < 0, -1, place[test.labels])
    return zeroshot.zeroshot_eval(
      Features(test.features, labels.astype(np.int32)), classes[among]
    )

  return Classifier(
    evaluation=evaluation,
    source=source,
    exported=model.exported,
    encode=model.encode_images,
    judge=judge,
    limit=run.choice.limit,
    class_names=tuple(source.class_names or ()),
  )
