"""`jaxssl eval`: protocols on the features of a frozen encoder."""

import argparse
from collections.abc import Callable, Mapping, Sequence
import logging
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import config as config_lib
from jaxssl import data
from jaxssl.commands import datasets, encoders
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import protocols
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'protocol',
    nargs='+',
    help=f'one or more of {", ".join(protocols.PROTOCOLS)}',
  )
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument('--layer', help='an intermediate of the encoder instead')
  parser.add_argument('--train_split', default='train', help='default: train')
  parser.add_argument('--test_split', help='default: that of the run, or test')
  parser.add_argument(
    '--baselines',
    action='store_true',
    help='also raw pixels, colour histogram and the untrained encoder',
  )
  parser.add_argument(
    '--set',
    action='append',
    default=[],
    metavar='KEY=VALUE',
    help='a setting of the protocol, for example ks=(20,); is recorded',
  )
  datasets.add_arguments(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table and writes `results/<protocol>-<data>.json`."""
  if overrides:
    raise UserError('eval takes --set KEY=VALUE instead of --config.*')
  settings = _settings(arguments.set)
  chosen = [_protocol(name, settings) for name in arguments.protocol]
  workdir = Workdir(arguments.workdir)
  exported = encoders.load(workdir, step=arguments.step)
  splits = _Splits(arguments, workdir, exported)
  rows = {}
  for name, encode in _encoders(arguments, exported).items():
    train, test = splits.features(name, encode)
    rows[name] = {}
    for protocol in chosen:
      metrics = protocol.run(train, test)
      rows[name][protocol.name] = metrics['top1']
      if name == TRAINED:
        path = protocols.write_result(
          workdir.path,
          protocol,
          splits.name,
          metrics,
          config_hash=exported.config_hash,
          step=exported.step,
          seed=splits.seed,
        )
        _log.info('wrote %s', path)
  print(protocols.format_table(rows, title=f'top-1 % on {splits.name}'))
  return 0


TRAINED = 'trained encoder'


def _settings(texts: Sequence[str]) -> dict[str, Any]:
  for text in texts:
    if '=' not in text:
      raise UserError(f'--set takes KEY=VALUE, for example ks=20; got {text!r}')
  return config_lib.parse_overrides([config_lib.PREFIX + t for t in texts])


def _protocol(name: str, settings: Mapping[str, Any]) -> Any:
  """Makes a protocol; its settings are of the types of its defaults."""
  protocol = protocols.make_protocol(name)
  typed = {
    key: config_lib.same_type(key, value, getattr(protocol, key, None))
    for key, value in settings.items()
  }
  return protocols.make_protocol(name, **typed)


def _encoders(
  arguments: argparse.Namespace, exported: ExportedEncoder
) -> dict[str, Callable]:
  trained = features_lib.encode_fn(
    exported.encoder, exported.variables, exported.normalize, arguments.layer
  )
  if not arguments.baselines:
    return {TRAINED: trained}
  size = exported.image_size
  untrained = jax.jit(exported.encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
  return {
    'raw pixels': features_lib.raw_pixels,
    'colour histogram': features_lib.color_histogram,
    'untrained encoder': features_lib.encode_fn(
      exported.encoder, untrained, exported.normalize, arguments.layer
    ),
    TRAINED: trained,
  }


def _labelled(source: Any) -> Any:
  """The source, if it has labels; asked before anything is encoded."""
  if source.class_names is None:
    raise UserError(
      f'{source.name} has no labels, and an evaluation needs them; give --data '
      'with labels, for example a folder with one subfolder a class'
    )
  return source


class _Splits:
  """The features of both splits, kept in `workdir/features`."""

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

  def features(
    self, encoder: str, encode: Callable[[Any], jax.Array]
  ) -> list[features_lib.Features]:
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
          exported.image_size,
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
