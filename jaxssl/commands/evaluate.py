"""`jaxssl eval`: protocols on frozen features, and fine-tuning."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import logging
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import config as config_lib
from jaxssl.cli import EXIT_PREEMPTED
from jaxssl.commands import (
  datasets,
  encoders,
  evaluate_corruptions,
  evaluate_pairs,
  evaluate_shift,
  evaluate_wise_ft,
  zeroshot_start,
)
from jaxssl.commands.splits import Splits
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import protocols
from jaxssl.train.loop import Preempted
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'protocol',
    nargs='+',
    help=f'one or more of {", ".join(_PROTOCOLS)}',
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
  evaluate_pairs.add_arguments(parser)
  evaluate_corruptions.add_arguments(parser)
  evaluate_shift.add_arguments(parser)
  evaluate_wise_ft.add_arguments(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table and writes `results/<protocol>-<data>.json`."""
  for module in _ROBUSTNESS:
    if module.PROTOCOL in arguments.protocol:
      _refuse_others(arguments, module.PROTOCOL)
      return module.run(arguments, overrides)
  if evaluate_pairs.PROTOCOLS.keys() & set(arguments.protocol):
    return evaluate_pairs.run(arguments, overrides)
  if overrides:
    raise UserError('eval takes --set KEY=VALUE instead of --config.*')
  settings = _settings(arguments.set)
  chosen = {name: _protocol(name, settings) for name in arguments.protocol}
  training = [p for n, p in chosen.items() if n in protocols.TRAINING_PROTOCOLS]
  frozen = [p for n, p in chosen.items() if n in protocols.PROTOCOLS]
  _check(arguments, training)
  workdir = Workdir(arguments.workdir)
  exported = encoders.load(workdir, step=arguments.step)
  splits = Splits(arguments, workdir, exported)
  if arguments.templates:
    exported, templates = zeroshot_start.with_classifier(
      arguments, workdir, splits.sources[0]
    )
    training = [dataclasses.replace(p, templates=templates) for p in training]
  report = _Report(workdir, splits, exported)
  if frozen:
    for name, encode in _encoders(arguments, exported).items():
      train, test = splits.features(name, encode)
      for protocol in frozen:
        report.add(name, protocol, protocol.run(train, test))
  try:
    for name, protocol, metrics in _fine_tuned(
      arguments, training, exported, splits.sources
    ):
      report.add(name, protocol, metrics)
  except Preempted as stopped:
    _log.info('%s; the same command goes on from here', stopped)
    return EXIT_PREEMPTED
  report.print()
  return 0


def _check(arguments: argparse.Namespace, training: Sequence[Any]) -> None:
  """Raises `UserError` for arguments that do not go with the protocols."""
  if training and arguments.layer:
    raise UserError('--layer is for frozen features, not for fine-tuning')
  if not arguments.templates:
    if arguments.classes:
      raise UserError('--classes needs --templates, for example photo')
    return
  if not training:
    raise UserError('--templates is for zero-shot classification and finetune')
  if arguments.baselines:
    raise UserError('of --templates and --baselines only one can be given')


def _fine_tuned(
  arguments: argparse.Namespace,
  chosen: Sequence[Any],
  exported: ExportedEncoder,
  sources: Sequence[Any],
) -> Iterator[tuple[str, Any, dict[str, float]]]:
  """Yields encoder, protocol and metrics of each fine-tuning."""
  folder = Workdir(arguments.workdir).path / 'finetune'
  encoders_by_name = _trainable(arguments, exported) if chosen else {}
  for name, encoder in encoders_by_name.items():
    for protocol in chosen:
      yield (
        name,
        protocol,
        protocol.run(encoder, *sources, folder=folder, limit=arguments.limit),
      )


def _refuse_others(arguments: argparse.Namespace, name: str) -> None:
  """Raises `UserError` for protocols and arguments that do not go with it."""
  if arguments.protocol != [name]:
    raise UserError(f'run {name} apart from other protocols')
  for flag in ('layer', 'baselines', 'set'):
    if getattr(arguments, flag):
      raise UserError(f'{name} takes no --{flag}')


# How well a classifier stands other images; each is run by itself.
_ROBUSTNESS = (evaluate_corruptions, evaluate_shift, evaluate_wise_ft)
_PROTOCOLS = (
  *protocols.PROTOCOLS,
  *protocols.TRAINING_PROTOCOLS,
  *evaluate_pairs.PROTOCOLS,
  *(module.PROTOCOL for module in _ROBUSTNESS),
)
UNTRAINED = 'untrained encoder'
TRAINED = 'trained encoder'


class _Report:
  """A table of all results; those of the trained encoder go to files."""

  def __init__(
    self, workdir: Workdir, splits: Splits, exported: ExportedEncoder
  ):
    self._workdir, self._splits, self._exported = workdir, splits, exported
    self._rows = {}

  def add(
    self, encoder: str, protocol: Any, metrics: Mapping[str, float]
  ) -> None:
    self._rows.setdefault(encoder, {})[protocol.name] = metrics['top1']
    if encoder != TRAINED:
      return
    path = protocols.write_result(
      self._workdir.path,
      protocol,
      self._splits.name,
      metrics,
      config_hash=self._exported.config_hash,
      step=self._exported.step,
      seed=self._splits.seed,
    )
    _log.info('wrote %s', path)

  def print(self) -> None:
    title = f'top-1 % on {self._splits.name}'
    print(protocols.format_table(self._rows, title=title))


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
  return {
    'raw pixels': features_lib.raw_pixels,
    'colour histogram': features_lib.color_histogram,
    UNTRAINED: features_lib.encode_fn(
      exported.encoder,
      _untrained(exported),
      exported.normalize,
      arguments.layer,
    ),
    TRAINED: trained,
  }


def _trainable(
  arguments: argparse.Namespace, exported: ExportedEncoder
) -> dict[str, ExportedEncoder]:
  if not arguments.baselines:
    return {TRAINED: exported}
  untrained = dataclasses.replace(
    exported, variables=_untrained(exported), config_hash='untrained', step=0
  )
  return {UNTRAINED: untrained, TRAINED: exported}


def _untrained(exported: ExportedEncoder) -> Any:
  size = exported.image_size
  return jax.jit(exported.encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
