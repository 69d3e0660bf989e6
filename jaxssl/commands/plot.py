"""`jaxssl plot`: a run's curve, a map of its features, its few-shot results."""

import argparse
from collections.abc import Callable, Sequence
import functools
import logging
from typing import Any

from jaxssl.arguments import data_choice, place
from jaxssl.errors import UserError
from jaxssl.evals.features import encode_fn, extract
from jaxssl.paths import Path, is_remote
from jaxssl.pictures.curve import training_curve
from jaxssl.pictures.feature_map import feature_map
from jaxssl.pictures.few_shot import few_shot_curve
from jaxssl.runs import encoders, sources
from jaxssl.runs import results as results_lib
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument(
    '--split', help='default: that of the run, or test, or train without it'
  )
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `pictures/curve.png`, `features.png`, and a picture a result."""
  if is_remote(place.of(arguments)):
    raise UserError(
      'plot draws into the workdir, which must be of this machine; copy it '
      'here, or use `jaxssl visualize --out DIR`'
    )
  workdir = Workdir(place.of(arguments))
  choice = data_choice.choice(arguments, overrides)
  exported = encoders.load(workdir, step=arguments.step)
  # A wrong name is told before anything is written; but curves need no data.
  source = arguments.split and choice.open(workdir, arguments.split)[0]
  pictures = workdir.path / 'pictures'
  pictures.mkdir(exist_ok=True)
  if workdir.metrics_path.exists():
    _write(training_curve, workdir.metrics_path, pictures / 'curve.png')
  _draw_few_shot(workdir)
  source = source or choice.open(workdir, None)[0]
  encode = encode_fn(exported.encoder, exported.variables, exported.normalize)
  features = extract(
    encode,
    sources.batches(source, exported, limit=arguments.limit),
    class_names=source.class_names or (),
  )
  _write(feature_map, features, pictures / 'features.png')
  return 0


def _draw_few_shot(workdir: Workdir) -> None:
  """Draws every few-shot result, with the zero-shot one on the same data."""
  results = results_lib.read_results(workdir.path)
  for name, result in results.items():
    if not name.startswith('fewshot-'):
      continue
    baselines = {
      n: other['metrics']['top1']
      for n, other in results.items()
      if n.startswith('zeroshot-') and other.get('data') == result.get('data')
    }
    draw = functools.partial(few_shot_curve, baselines=baselines)
    path = workdir.path / 'pictures' / f'{name}.png'
    _write(draw, {'few-shot': result['metrics']}, path)


def _write(draw: Callable[[Any, Path], None], content: Any, path: Path) -> None:
  draw(content, path)
  _log.info('wrote %s', path)
