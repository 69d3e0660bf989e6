"""`jaxssl adapt`: a trained encoder goes on learning from other pictures."""

import argparse
from collections.abc import Sequence
import logging

from jaxssl.arguments import configs, listed
from jaxssl.build import Run
from jaxssl.commands import train
from jaxssl.config import Config
from jaxssl.errors import UserError, unknown
from jaxssl.methods import METHODS
from jaxssl.runs import adaptation
from jaxssl.runs.sources import absolute
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, export_of, load_encoder

joined = train.joined
_log = logging.getLogger(__name__)
_EXAMPLES = (
  'jaxssl adapt --from runs/a --data FOLDER --workdir runs/b',
  'jaxssl adapt --from runs/a --data FOLDER --workdir runs/c --guard stop',
  'jaxssl adapt --workdir runs/b                 (goes on)',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    '--from',
    dest='start',
    metavar='MODEL',
    help='a workdir of train or import, or a folder of an exported encoder',
  )
  configs.add_plain(parser)
  train.add_place(parser)
  parser.add_argument(
    '--guard',
    choices=('off', 'keep', 'stop'),
    help='what happens when the features get worse: nothing; it is said, and '
    'export/best keeps the best encoder (default); the run ends too',
  )
  parser.usage = (
    f'{parser.prog} --from MODEL --data DATA --workdir DIR [--method NAME]'
  )
  parser.epilog = listed.below_configs(_EXAMPLES)
  parser.set_defaults(config=None, encoder=None, model=None)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Trains; returns 0 when done, 3 when the guard ended it, 42 when stopped."""
  workdir = Workdir(arguments.workdir)
  if arguments.guard:
    overrides = [*overrides, f'--config.eval.guard={arguments.guard}']
  if workdir.config_path.exists():
    _go_on(arguments, workdir.read_config())
    return train.run_config(configs.resolve(arguments, overrides), arguments)
  model = _model(arguments)
  arguments.model, arguments.encoder = model, model.section['name']
  config = configs.resolve(arguments, overrides)

  def say(run_: Run) -> None:
    _log.info('%s', adaptation.reason(run_, model))

  return train.run_config(config, arguments, say=say)


def _model(arguments: argparse.Namespace) -> ExportedEncoder:
  """Returns what is adapted; puts the method in where none is given.

  Raises:
    UserError: if an argument is missing, or they do not go together.
  """
  if not arguments.start or not arguments.data:
    raise UserError(
      'give --from MODEL, a workdir or an exported encoder, and --data FOLDER'
    )
  name = arguments.method
  if name is not None and name not in METHODS:
    raise unknown('method', name, METHODS)
  if name is not None and not METHODS[name].starts_trained:
    able = ', '.join(n for n, row in METHODS.items() if row.starts_trained)
    raise UserError(
      f'method {name!r} cannot start from a trained encoder; give one of {able}'
    )
  model = load_encoder(export_of(arguments.start))
  arguments.method = name or adaptation.method_for(model)
  return model


def _go_on(arguments: argparse.Namespace, kept: Config) -> None:
  """Puts in what the run in the workdir has, so that its config is taken.

  Raises:
    UserError: if it is the adaptation of another model, or none.
  """
  start = kept.get('train', {}).get('init_encoder')
  given = absolute(arguments.start) if arguments.start else [start]
  if start is None or given != [start]:
    other = f'of {start!r}' if start else 'from random weights'
    raise UserError(
      f'workdir {arguments.workdir!r} holds a run {other}; use a new workdir'
    )
  if arguments.data:
    arguments.method = arguments.method or kept['method']['name']
    arguments.encoder = kept['encoder']['name']
