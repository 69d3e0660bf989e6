"""What an evaluation is run on: the arguments of its `run`, by kind.

An evaluation names one of these in `needs`; `jaxssl.runs.inputs` knows how to
make each from a workdir. The fields are the arguments of `Evaluation.run`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxssl.data.dense import Pictures
from jaxssl.data.source import Source
from jaxssl.evals.features import Features
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.settings import summary
from jaxssl.train.loop import Job
from jaxssl.train.state import TrainState
from jaxssl.weights.exported import ExportedEncoder

PyTree = Any
Batch = dict[str, Any]
# Texts to features, float32 [n, K].
EncodeText = Callable[[Sequence[str]], np.ndarray]
# Evaluation batches to metrics with `top1` and `num_test`.
Classify = Callable[[Iterable[Batch]], Mapping[str, float]]
# Features, and the labels that may be answered (None: all), to metrics.
Judge = Callable[[Features, np.ndarray | None], Mapping[str, float]]


class FrozenFeatures(NamedTuple):
  """Frozen features.

  Attributes:
    train: features of the training split.
    test: features of the test split.
  """

  train: Features
  test: Features


class LabelledImages(NamedTuple):
  """Labelled images.

  Attributes:
    exported: the encoder.
    train_source: training images with labels.
    test_source: test images with labels of the same classes.
  """

  exported: ExportedEncoder
  train_source: Source
  test_source: Source


class Place(Protocol):
  """Where a fine-tuning lives, and goes on when it was stopped."""

  def save_start(self, exported: ExportedEncoder) -> None:
    """Keeps what the fine-tuning starts from."""
    ...

  def train(self, job: Job) -> TrainState:
    """Trains to the end, from where an earlier call was stopped."""
    ...

  def save(self, exported: ExportedEncoder) -> None:
    """Keeps what came out."""
    ...


class FineTuning(NamedTuple):
  """Labelled images.

  Attributes:
    exported: the pre-trained encoder; with a tower `classifier` where the
      classifier starts from texts.
    train_source: training images with labels.
    test_source: test images with labels of the same classes.
    place: keeps checkpoints and the result.
  """

  exported: ExportedEncoder
  train_source: Source
  test_source: Source
  place: Place


class TowerFeatures(NamedTuple):
  """Image and text towers.

  Attributes:
    images: features of the images in the space of the texts.
    captions: texts of each of them; empty where the data has none.
    encode_text: texts to features of the same space.
  """

  images: Features
  captions: Sequence[Sequence[str]]
  encode_text: EncodeText


class ClassifiedImages(NamedTuple):
  """A classifier.

  Attributes:
    classify: evaluation batches to metrics.
    batches: starts over the evaluation batches, `image` uint8 [b, S, S, 3] and
      `index` int [b].
  """

  classify: Classify
  batches: Callable[[], Iterable[Batch]]


class ShiftedFeatures(NamedTuple):
  """A classifier.

  Attributes:
    judge: features and the labels that may be answered to metrics.
    reference: features without shift, with class names.
    shifted: features of each shifted set, labels and names its own.
  """

  judge: Judge
  reference: Features
  shifted: Mapping[str, Features]


class DenseFeatures(NamedTuple):
  """Dense features.

  An evaluation that is run on them, or on `DenseLook`, has two more names:
  `target`, the kind of target that its pictures need (None: none), and the
  field `size`, the side of the windows, which is filled in.

  Attributes:
    patches: windows of pictures to the features of their patches.
    train: training pictures, each with its target.
    test: test pictures, each with its target.
  """

  patches: PatchEncoder
  train: Pictures
  test: Pictures


class DenseLook(NamedTuple):
  """Dense features of one split.

  Attributes:
    patches: windows of pictures to the features of their patches.
    pictures: the pictures, with their targets where the evaluation has some.
  """

  patches: PatchEncoder
  pictures: Pictures


class TunedWeights(NamedTuple):
  """A fine-tuning from texts.

  Attributes:
    start: variables of encoder and classifier before fine-tuning.
    end: the same after it.
    evaluate: such variables to the accuracy on each set by name; `reference` is
      the one without shift.
  """

  start: PyTree
  end: PyTree
  evaluate: Callable[[PyTree], Mapping[str, float]]


def in_words(kind: type) -> str:
  """Returns what a kind of inputs is called in messages and tables."""
  return summary(kind).lower()
