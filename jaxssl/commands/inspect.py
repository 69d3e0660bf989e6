"""`jaxssl inspect`: what a config means, before any training."""

import argparse
from collections.abc import Sequence
import dataclasses
import logging
import math
import pathlib

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxssl import config as config_lib
from jaxssl.arguments import configs, targets
from jaxssl.build import Run, build
from jaxssl.data import copies
from jaxssl.errors import UserError
from jaxssl.job import make_job
from jaxssl.methods.base import Batch
from jaxssl.pictures.views import view_grid
from jaxssl.printable import printable
from jaxssl.train.loop import on_device_part
from jaxssl.train.state import num_parameters
from jaxssl.train.treatments import treatments

_LETTERS = 18  # of a name, below a picture
_log = logging.getLogger(__name__)


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
  print(config_lib.to_json(config))
  _print_parameters(run_)
  if line := str(copies.of(run_.source) or ''):
    print(printable(line))
  if path:
    images, views, names = _views(run_, arguments.rows)
    view_grid(images, views, path, names=names)
    _log.info('wrote %s', path)
  return 0


def _print_parameters(run_: Run) -> None:
  state = run_.learner.abstract(run_.batch_shapes(run_.train.batch_size))
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
  print(f'parameters: {num_parameters(state.params):,}')
  print(f'steps: {run_.num_steps:,} ({run_.steps_per_epoch:.1f} an epoch)')
  print(f'FLOPs a step, forward and backward: {_step_flops(run_, state):.3g}')


def _step_flops(run_: Run, state: object) -> float:
  """XLA's count for the whole train step before optimisation."""
  batch = run_.batch_shapes(run_.train.batch_size)
  lowered = jax.jit(run_.learner.step).lower(state, batch)
  counted = lowered.cost_analysis() or {}
  return counted.get('flops', math.nan)


def _views(
  run_: Run, rows: int
) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
  """Returns originals, uint8 [n, H, W, 3], views [n, S, S, 3], and names."""
  batch, index = _first_rows(run_, rows)
  key = jax.random.key(run_.seed)
  augment = run_.augment
  views = jax.jit(lambda b: augment(key, b)['views'])(batch)
  pictures = [np.asarray(augment.denormalize(view)) for view in views]
  if 'image' not in batch:
    # The host keeps whole pictures to itself; the same ones, not cropped.
    whole = dataclasses.replace(run_.input, crop='device')
    batch, _ = _first_rows(dataclasses.replace(run_, input=whole), rows)
  # Of a path, its end: the first letters are those of all.
  names = [run_.source.describe(i)[-_LETTERS:] for i in index.tolist()]
  return np.asarray(batch['image']), pictures, names


def _first_rows(run_: Run, rows: int) -> tuple[Batch, np.ndarray]:
  """Returns rows of the first batch, and which records they are."""
  batches = make_job(run_, dry=True).make_batches(0)
  try:
    batch = jax.tree.map(lambda x: x[:rows], next(batches))
  finally:
    batches.close()
  return on_device_part(batch), np.asarray(batch['index'])
