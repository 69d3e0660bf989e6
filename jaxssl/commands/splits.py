"""The training and the test split of a command, and their features."""

import argparse
from collections.abc import Callable
from typing import Any

import jax

from jaxssl import data
from jaxssl.commands import datasets
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder


def _labelled(source: Any) -> Any:
  """The source, if it has labels; asked before anything is encoded."""
  if source.class_names is None:
    raise UserError(
      f'{source.name} has no labels, and an evaluation needs them; give --data '
      'with labels, for example a folder with one subfolder a class'
    )
  return source


class Splits:
  """The features of both splits, kept in `workdir/features`.

  Attributes:
    name: short name of the data.
    seed: of the run.
  """

  def __init__(
    self,
    arguments: argparse.Namespace,
    workdir: Workdir,
    exported: ExportedEncoder,
  ):
    section = datasets.section(arguments, workdir)
    test_split, self.seed = 'test', 0
    if workdir.config_path.exists():
      config = workdir.read_config()
      self.seed = config['seed']
      test_split = test_split if arguments.data else config['eval']['split']
    self.name = datasets.data_name(section)
    self._arguments, self._workdir, self._exported = (
      arguments,
      workdir,
      exported,
    )
    splits = arguments.train_split, arguments.test_split or test_split
    if splits[0] == splits[1]:
      raise UserError(
        f'train and test split are both {splits[0]!r}: every image would find '
        'itself; give another --train_split or --test_split'
      )
    self._sources = {
      split: _labelled(data.make_source(**{**section, 'split': split}))
      for split in splits
    }

  @property
  def sources(self) -> list[Any]:
    """Of training and test split."""
    return list(self._sources.values())

  def features(
    self, encoder: str, encode: Callable[[Any], jax.Array]
  ) -> list[features_lib.Features]:
    """Returns those of training and test split; `encoder` is its name."""
    return [
      self._features(encoder, encode, split, source)
      for split, source in self._sources.items()
    ]

  def _features(self, encoder, encode, split, source):
    exported, arguments = self._exported, self._arguments
    fingerprint = '-'.join(
      map(
        str,
        (
          exported.config_hash,
          exported.step,
          source.fingerprint,
          exported.preprocessing,
          arguments.layer,
          arguments.limit,
        ),
      )
    )
    name = f'{self.name}-{split}-{encoder}'.replace(' ', '_').replace('/', '_')
    return features_lib.cached(
      self._workdir.path / 'features' / f'{name}.npz',
      fingerprint,
      lambda: features_lib.extract(
        encode,
        datasets.batches(source, exported, limit=arguments.limit),
        class_names=source.class_names or (),
      ),
    )
