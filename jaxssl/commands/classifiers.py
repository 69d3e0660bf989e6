"""The classifier of a run for tests of robustness: kNN, or zero-shot."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from jaxssl import data
from jaxssl.commands import datasets, encoders, evaluate_pairs, towers
from jaxssl.commands.splits import Splits
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import knn, prompts, zeroshot
from jaxssl.evals.features import Features
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_NEIGHBOURS = 20
Batches = Iterable[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
  """What a run makes of images whose classes it knows.

  Attributes:
    source: the test images that the classifier is made for.
    class_names: in the order of the labels.
    exported: the image encoder.
    settings: name and settings of the protocol behind it, for the record.
    encode: uint8 images -> features.
    judge: features of labelled images, labels that may be answered (None: all)
      -> metrics with `top1` and `num_test`.
    name: of the test data.
    seed: of the run.
  """

  source: Any
  class_names: tuple[str, ...]
  exported: ExportedEncoder
  settings: Mapping[str, Any]
  encode: Callable[[Any], Any]
  judge: Callable[[Features, np.ndarray | None], dict[str, float]]
  name: str
  seed: int

  def features(self, batches: Batches) -> Features:
    """Returns the features of evaluation batches."""
    return features_lib.extract(
      self.encode, batches, class_names=self.class_names
    )

  def classify(self, batches: Batches) -> dict[str, float]:
    """Returns the metrics of evaluation batches."""
    return self.judge(self.features(batches), None)


def make_classifier(
  arguments: argparse.Namespace, overrides: Sequence[str]
) -> Classifier:
  """Zero-shot for an image-text run, else kNN of the training split.

  Raises:
    UserError: for data without labels, or arguments of the other kind.
  """
  workdir = Workdir(arguments.workdir)
  has_text = workdir.config_path.exists() and workdir.read_config().get('text')
  make = _zero_shot if has_text else _neighbours
  return make(arguments, overrides, workdir)


def _neighbours(
  arguments: argparse.Namespace, overrides: Sequence[str], workdir: Workdir
) -> Classifier:
  for name in ('classes', 'templates', 'split'):
    if getattr(arguments, name):
      raise UserError(
        f'--{name} is for zero-shot classification by an image-text run'
      )
  if overrides:
    raise UserError('config.data.* is for image-text runs; give --data instead')
  exported = encoders.load(workdir, step=arguments.step)
  splits = Splits(arguments, workdir, exported)
  encode = features_lib.encode_fn(
    exported.encoder, exported.variables, exported.normalize
  )
  bank, _ = splits.features('trained encoder', encode)

  def judge(test: Features, among: np.ndarray | None) -> dict[str, float]:
    return knn.knn_eval(_rows_of(bank, among), test, ks=(_NEIGHBOURS,))

  source = splits.sources[1]
  return Classifier(
    source=source,
    class_names=tuple(source.class_names),
    exported=exported,
    settings={'name': 'knn-v1', 'ks': [_NEIGHBOURS]},
    encode=encode,
    judge=judge,
    name=splits.name,
    seed=splits.seed,
  )


def _rows_of(bank: Features, among: np.ndarray | None) -> Features:
  """Returns the rows of the bank that have one of these labels."""
  if among is None:
    return bank
  kept = np.isin(bank.labels, among)
  return Features(bank.features[kept], bank.labels[kept], bank.class_names)


def _zero_shot(
  arguments: argparse.Namespace, overrides: Sequence[str], workdir: Workdir
) -> Classifier:
  section = evaluate_pairs.data_section(arguments, workdir)
  section = datasets.with_overrides(section, overrides)
  source = data.make_source(**section)
  evaluate_pairs.check_zeroshot(source, arguments)
  names = evaluate_pairs.class_names(source, arguments)
  chosen = arguments.templates or evaluate_pairs.DEFAULT_TEMPLATES
  templates = prompts.load_templates(chosen)
  model = towers.load(workdir, step=arguments.step)
  classes = zeroshot.encode_classes(model.encode_text, names, templates)

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
    source=source,
    class_names=tuple(source.class_names),
    exported=model.exported,
    settings={'name': 'zeroshot-v1', 'templates': list(templates)},
    encode=model.encode_images,
    judge=judge,
    name=datasets.data_name(section),
    seed=workdir.read_config()['seed'],
  )
