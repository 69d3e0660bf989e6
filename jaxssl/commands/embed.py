"""`jaxssl embed`: the features of a data set, in one file."""

import argparse
from collections.abc import Sequence
import logging
import pathlib

import numpy as np

from jaxssl import data, npz_file
from jaxssl.arguments import data_choice, place, targets
from jaxssl.errors import UserError
from jaxssl.evals import collapse
from jaxssl.evals.features import encode_fn, extract_records
from jaxssl.runs import encoders, sources
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument('--out', required=True, help='.npz file to write')
  parser.add_argument(
    '--split',
    help='default: all of a folder or a file, else the training split',
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument('--layer', help='an intermediate of the encoder instead')
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `features` [n, D], `labels` [n], `names` [n] and `class_names`."""
  out = pathlib.Path(arguments.out)
  targets.check_file(out, suffix='.npz')
  if out.exists():
    raise UserError(f'{str(out)!r} exists; choose another --out')
  workdir = Workdir(place.of(arguments))
  choice = data_choice.choice(arguments, overrides)
  exported = encoders.load(workdir, step=arguments.step)
  section = choice.section(workdir)
  split = arguments.split or choice.whole_split(workdir)
  if split:
    section['split'] = split
  source = data.make_source(**section)
  encode = encode_fn(
    exported.encoder, exported.variables, exported.normalize, arguments.layer
  )
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
