"""The training and the test split of a run, and their features."""

from collections.abc import Callable
import dataclasses
from typing import Literal

import jax

from jaxssl import data
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.runs import sources
from jaxssl.runs.sources import DataChoice
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splits:
  """Both splits; their features are kept in `workdir/features`.

  Attributes:
    workdir: the run.
    exported: its encoder.
    limit: at most so many images of each split.
    data_name: short name of the data.
    train: name of the training split.
    test: name of the test split.
    train_source: the training images.
    test_source: the test images.
  """

  workdir: Workdir
  exported: ExportedEncoder
  limit: int | None
  data_name: str
  train: str
  test: str
  train_source: Source
  test_source: Source

  def features(
    self,
    split: Literal['train', 'test'],
    encoder: str,
    encode: Callable[[jax.Array], jax.Array],
    layer: str | None = None,
  ) -> features_lib.Features:
    """Returns the features of a split.

    Args:
      split: which one.
      encoder: name of the encoder, for the file.
      encode: images -> features.
      layer: the intermediate that `encode` takes.
    """
    exported = self.exported
    name, source = {
      'train': (self.train, self.train_source),
      'test': (self.test, self.test_source),
    }[split]
    fingerprint = '-'.join(
      map(
        str,
        (
          exported.config_hash,
          exported.step,
          source.fingerprint,
          exported.preprocessing,
          layer,
          self.limit,
        ),
      )
    )
    stem = f'{self.data_name}-{name}-{encoder}'
    stem = stem.replace(' ', '_').replace('/', '_')
    return features_lib.cached(
      self.workdir.path / 'features' / f'{stem}.npz',
      fingerprint,
      lambda: features_lib.extract(
        encode,
        sources.batches(source, exported, limit=self.limit),
        class_names=source.class_names or (),
      ),
    )


def open_splits(
  workdir: Workdir,
  exported: ExportedEncoder,
  choice: DataChoice,
  *,
  train: str | None,
  test: str | None,
) -> Splits:
  """Opens both splits.

  Args:
    workdir: the run.
    exported: its encoder.
    choice: which data.
    train: name of the training split; None: train.
    test: name of the test split; None: that of the run, or test.

  Raises:
    UserError: if a split does not exist, or both are the same.
  """
  section = choice.section(workdir)
  train = train or 'train'
  test = test or choice.test_split(workdir)
  if train == test:
    raise UserError(
      f'train and test split are both {train!r}: every image would find '
      'itself; give another --train_split or --test_split'
    )
  return Splits(
    workdir=workdir,
    exported=exported,
    limit=choice.limit,
    data_name=sources.data_name(section),
    train=train,
    test=test,
    train_source=data.make_source(**{**section, 'split': train}),
    test_source=data.make_source(**{**section, 'split': test}),
  )
