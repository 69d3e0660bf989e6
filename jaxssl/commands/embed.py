"""`jaxssl embed`: the features of a data set, or those of its patches."""

import argparse
from collections.abc import Sequence
import dataclasses
import logging
import pathlib
from typing import get_args

import numpy as np

from jaxssl import data, npz_file
from jaxssl.arguments import data_choice, place, targets
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import collapse
from jaxssl.evals.features import Encode, encode_fn, extract_records
from jaxssl.runs import encoders, patch_shards, sources
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_SHARD_ROWS = 1024
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument(
    '--out', required=True, help='.npz file to write; with --dense a folder'
  )
  parser.add_argument(
    '--split',
    help='default: all of a folder or a file, else the training split',
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument('--layer', help='an intermediate of the encoder instead')
  parser.add_argument(
    '--dense',
    action='store_true',
    help='one feature for each patch, in a folder of .npz files',
  )
  parser.add_argument(
    '--dtype',
    choices=get_args(patch_shards.Dtype),
    help='with --dense: how features are stored; default: float32',
  )
  parser.add_argument(
    '--shard_rows',
    type=int,
    help=f'with --dense: pictures in a file; default: {_SHARD_ROWS}',
  )
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `features` [n, D], `labels` [n], `names` [n] and `class_names`.

  With `--dense` a folder, see `runs.patch_shards`.
  """
  out = pathlib.Path(arguments.out)
  _check_target(arguments, out)
  workdir = Workdir(place.of(arguments))
  choice = data_choice.choice(arguments, overrides)
  exported = encoders.load(workdir, step=arguments.step)
  section = choice.section(workdir)
  split = arguments.split or choice.whole_split(workdir)
  if split:
    section['split'] = split
  source = data.make_source(**section)
  encode = encode_fn(
    exported.encoder,
    exported.variables,
    exported.normalize,
    arguments.layer,
    spatial=arguments.dense,
  )
  if arguments.dense:
    return _write_patches(arguments, out, source, exported, encode)
  found, index = extract_records(
    encode, sources.batches(source, exported, limit=arguments.limit)
  )
  arrays = {
    'features': found.features,
    'labels': found.labels,
    'names': np.array([source.describe(i) for i in index.tolist()]),
    'class_names': np.array(source.class_names or (), np.str_),
  }
  npz_file.write(out, arrays)
  rows, dim = arrays['features'].shape
  advice = collapse.advice(found.features)
  if advice:
    _log.warning('%s', advice)
  _log.info('wrote %d features of %d numbers to %s', rows, dim, out)
  return 0


def _check_target(arguments: argparse.Namespace, out: pathlib.Path) -> None:
  """Refuses what does not go together, and a target that is there."""
  if arguments.dense:
    targets.refuse_existing(out)
    rows = arguments.shard_rows
    if rows is not None and rows < 1:
      raise UserError(f'--shard_rows is {rows}; it must be at least 1')
    return
  for name in ('dtype', 'shard_rows'):
    if getattr(arguments, name) is not None:
      raise UserError(f'--{name} is for --dense')
  targets.check_file(out, suffix='.npz')
  if out.exists():
    raise UserError(f'{str(out)!r} exists; choose another --out')


def _write_patches(
  arguments: argparse.Namespace,
  out: pathlib.Path,
  source: Source,
  exported: ExportedEncoder,
  encode: Encode,
) -> int:
  count, shape = patch_shards.write(
    out,
    encode,
    sources.batches(source, exported, limit=arguments.limit),
    source.describe,
    dtype=arguments.dtype or 'float32',
    shard_rows=arguments.shard_rows or _SHARD_ROWS,
    info={
      'source': source.name,
      'class_names': list(source.class_names or ()),
      'layer': arguments.layer,
      'step': exported.step,
      'config_hash': exported.config_hash,
      'preprocessing': dataclasses.asdict(exported.preprocessing),
    },
  )
  rows, columns, dim = shape
  _log.info(
    'wrote %d x %d features of %d numbers for each of %d pictures to %s',
    *(rows, columns, dim, count, out),
  )
  return 0
