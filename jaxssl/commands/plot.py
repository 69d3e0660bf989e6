"""`jaxssl plot`: pictures of a run: its curve, and a map of its features."""

import argparse
from collections.abc import Sequence
import logging

from jaxssl import data
from jaxssl.commands import datasets, encoders
from jaxssl.errors import UserError
from jaxssl.evals.features import encode_fn, extract
from jaxssl.pictures.curve import training_curve
from jaxssl.pictures.feature_map import feature_map
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument('--split', default='test', help='default: test')
  datasets.add_arguments(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `pictures/curve.png` and `pictures/features.png`."""
  if overrides:
    raise UserError('plot takes no --config.* arguments')
  workdir = Workdir(arguments.workdir)
  exported = encoders.load(workdir, step=arguments.step)
  section = datasets.section(arguments, workdir)
  source = data.make_source(**{**section, 'split': arguments.split})
  pictures = workdir.path / 'pictures'
  pictures.mkdir(exist_ok=True)
  if workdir.metrics_path.exists():
    _write(training_curve, workdir.metrics_path, pictures / 'curve.png')
  encode = encode_fn(exported.encoder, exported.variables, exported.normalize)
  features = extract(
    encode,
    datasets.batches(source, exported, limit=arguments.limit),
    class_names=source.class_names or (),
  )
  _write(feature_map, features, pictures / 'features.png')
  return 0


def _write(draw, content, path) -> None:
  draw(content, path)
  _log.info('wrote %s', path)
