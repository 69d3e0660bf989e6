"""`jaxssl inspect`: what a config means, before any training."""

import argparse
import collections
from collections.abc import Sequence
import logging
import math
import pathlib

import jax
from rich.console import Console
from rich.table import Table

from jaxssl import config as config_lib
from jaxssl.arguments import configs, targets
from jaxssl.build import Run, build
from jaxssl.config import Config, schema
from jaxssl.data import copies
from jaxssl.errors import UserError
from jaxssl.pictures.first_views import first_views
from jaxssl.pictures.grid import write_png
from jaxssl.printable import printable
from jaxssl.train.state import TrainState, num_parameters
from jaxssl.train.treatments import treatments

_log = logging.getLogger(__name__)
# Of a terminal, in letters.
WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  configs.add_arguments(
    parser,
    examples=(
      'jaxssl inspect --config quickstart --out views.png',
      'jaxssl inspect --method mae --data FOLDER',
      'jaxssl inspect --workdir runs/a',
    ),
  )
  parser.add_argument('--workdir', help='the run of this workdir instead')
  parser.add_argument('--out', help='PNG file for the grid of augmented views')
  parser.add_argument(
    '--rows', type=int, default=8, help='images in the grid; default: 8'
  )
  parser.add_argument(
    '--all',
    action='store_true',
    help='every key of the config, as JSON, and every parameter',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints config, parameters and FLOPs; writes the picture."""
  path = arguments.out and pathlib.Path(arguments.out)
  if path:
    targets.check_file(path, suffix='.png')
  if arguments.rows < 1:
    raise UserError(f'--rows is {arguments.rows}; it must be at least 1')
  configs.choose_device(arguments)
  config = configs.resolve(arguments, overrides)
  run_ = build(config)
  state = run_.learner.abstract(run_.batch_shapes(run_.train.batch_size))
  if arguments.all:
    print(config_lib.to_json(config))
    _print_parameters(run_, state)
  else:
    for line in chosen(config):
      print(line)
    _print_parts(state)
  _print_sums(run_, state)
  if line := str(copies.of(run_.source) or ''):
    print(printable(line))
  if not arguments.all:
    print('--all shows every key and every parameter')
  if path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(first_views(run_, arguments.rows), path)
    _log.info('wrote %s', path)
  return 0


def chosen(config: Config) -> list[str]:
  """Returns a line for each section: its name, and what is not the default.

  Args:
    config: complete.
  """
  lines = []
  for section in schema.SECTIONS:
    values = dict(config[section])
    name = values.pop('name', None)
    if not values and name is None:
      continue
    usual = schema.defaults(section, name)
    words = [f'{k}={v}' for k, v in values.items() if v != usual.get(k, v)]
    if name is not None:
      words.insert(0, name)
    line = f'{section:<13}{", ".join(words) or "as usual"}'
    lines.append(line if len(line) <= WIDTH else f'{line[: WIDTH - 3]}...')
  return lines


def _print_parts(state: TrainState) -> None:
  """Prints how many numbers each part of the parameters has."""
  sizes = collections.Counter()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
    sizes[path[0].key] += leaf.size
  for name, size in sizes.items():
    print(f'{name + ":":<13}{size:,} parameters')


def _print_parameters(run_: Run, state: TrainState) -> None:
  optim = run_.config['optim']
  assigned = treatments(
    state.params,
    exclude=optim['exclude'],
    layer_decay=optim['layer_decay'],
  )
  table = Table('parameter', 'shape', 'numbers', 'lr x', 'decay x')
  leaves = jax.tree_util.tree_leaves_with_path(state.params)
  for (path, leaf), treatment in zip(
    leaves, jax.tree.leaves(assigned), strict=True
  ):
    table.add_row(
      jax.tree_util.keystr(path, simple=True, separator='/'),
      str(leaf.shape),
      f'{leaf.size:,}',
      f'{treatment.learning_rate:g}',
      f'{treatment.weight_decay:g}',
    )
  Console().print(table)


def _print_sums(run_: Run, state: TrainState) -> None:
  print(f'parameters: {num_parameters(state.params):,}')
  print(f'steps: {run_.num_steps:,} ({run_.steps_per_epoch:.1f} an epoch)')
  print(f'FLOPs a step, forward and backward: {_step_flops(run_, state):.3g}')


def _step_flops(run_: Run, state: TrainState) -> float:
  """XLA's count for the whole train step before optimisation."""
  batch = run_.batch_shapes(run_.train.batch_size)
  lowered = jax.jit(run_.learner.step).lower(state, batch)
  counted = lowered.cost_analysis() or {}
  return counted.get('flops', math.nan)
