"""A workdir with what evaluations look at, each part opened when first used."""

import dataclasses
import functools
from typing import Any

import numpy as np

from jaxssl import data
from jaxssl.data.source import Source
from jaxssl.evals.features import Features, extract_records
from jaxssl.runs import encoders, overlap, sources, towers
from jaxssl.runs.sources import DataChoice
from jaxssl.runs.splits import Splits, open_splits
from jaxssl.runs.towers import Towers
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, export_of, load_encoder
from jaxssl.weights.input_channels import adapt_encoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedRun:
  """What is evaluated.

  Attributes:
    workdir: the run.
    choice: the data.
    step: number of a checkpoint; None: the newest weights.
    layer: an intermediate of the encoder in place of its features.
    train_split: name of the training split; None: train.
    test_split: name of the test split; None: that of the run, or test.
    split: the split of what looks at one; None: that of the run, or test, or
      all of a file of pairs.
    baselines: also evaluate what has learned nothing; None: where that takes
      no training of networks.
  """

  workdir: Workdir
  choice: DataChoice = dataclasses.field(default_factory=DataChoice)
  step: int | None = None
  layer: str | None = None
  train_split: str | None = None
  test_split: str | None = None
  split: str | None = None
  baselines: bool | None = False

  @property
  def seed(self) -> int:
    """Seed of the run; 0 for imported weights."""
    if not self.workdir.config_path.exists():
      return 0
    return self.workdir.read_config()['seed']

  @property
  def data_name(self) -> str:
    """Short name of the data."""
    return sources.data_name(self.choice.section(self.workdir))

  @property
  def data_place(self) -> str:
    """Where the data lie."""
    return sources.data_place(self.choice.section(self.workdir))

  @property
  def has_text(self) -> bool:
    """Whether it is an image-text run."""
    path = self.workdir.config_path
    return path.exists() and bool(self.workdir.read_config().get('text'))

  @functools.cached_property
  def exported(self) -> ExportedEncoder:
    """The encoder."""
    return encoders.load(self.workdir, step=self.step)

  @functools.cached_property
  def start(self) -> ExportedEncoder | None:
    """The encoder that the run began with, if it did not begin at random."""
    if not self.workdir.config_path.exists():
      return None
    path = self.workdir.read_config().get('train', {}).get('init_encoder')
    if not path:
      return None
    start = load_encoder(export_of(path))
    return adapt_encoder(start, self.exported.preprocessing, quiet=True)

  @functools.cached_property
  def splits(self) -> Splits:
    """Training and test split."""
    return open_splits(
      self.workdir,
      self.exported,
      self.choice,
      train=self.train_split,
      test=self.test_split,
    )

  @functools.cached_property
  def source(self) -> Source:
    """The one split of evaluations that need no training images."""
    section = self.choice.section(self.workdir)
    return data.make_source(**{**section, 'split': self._split})

  @functools.cached_property
  def records(self) -> dict[str, Any]:
    """Which records were read, for results; what is worth a warning is logged.

    Keys `train` and `test` (`source`, `split`, `images`); `shared` and
    `trained_on`, how many test images are training images of the evaluation, or
    of the encoder, None where that cannot be told; `compared_by`, `content` or
    `names`; `copies` (`count`, `examples`), which images are there more than
    once, None where contents were not read.
    """
    found: dict[str, Any] = {}
    compared = overlap.Overlap()
    opened: list[Source] = []
    test, shared = None, 0
    # What an evaluation has not opened, it has not read.
    if 'splits' in vars(self):
      splits = self.splits
      test = splits.test_source
      found['train'] = self._counted(splits.train_source, splits.train)
      found['test'] = self._counted(test, splits.test)
      shared = compared.num_shared(splits.train_source, test)
      opened = [splits.train_source, test]
    elif 'source' in vars(self):
      test = self.source
      opened = [test]
      found['test'] = self._counted(test, self._split)
    if test is None:
      return found
    section = self.choice.section(self.workdir)
    trained_on = compared.num_trained_on(self.workdir, section, test)
    copies = compared.twice(*opened)
    overlap.warn(
      shared=shared, trained_on=trained_on, num_test=test.num_examples
    )
    return {
      **found,
      'shared': shared,
      'trained_on': trained_on,
      'compared_by': 'content' if compared.by_content else 'names',
      'copies': copies and dataclasses.asdict(copies),
    }

  def _counted(self, source: Source, split: str) -> dict[str, Any]:
    count = source.num_examples
    limit = self.choice.limit or count
    return {'source': source.name, 'split': split, 'images': min(count, limit)}

  @property
  def _split(self) -> str:
    return self.split or self.choice.one_split(self.workdir)

  @functools.cached_property
  def towers(self) -> Towers:
    """Image and text tower."""
    return towers.load(self.workdir, step=self.step)

  @functools.cached_property
  def tower_features(self) -> tuple[Features, np.ndarray]:
    """Features of the readable images of `source`, and which records."""
    return extract_records(
      self.towers.encode_images,
      sources.batches(
        self.source, self.towers.exported, limit=self.choice.limit
      ),
      class_names=self.source.class_names or (),
    )
