"""`jaxssl eval corruptions`: a classifier on corrupted test images."""

import argparse
from collections.abc import Sequence
import functools
import logging

from jaxssl.augment.corruptions import kinds, severities
from jaxssl.commands import classifiers, datasets
from jaxssl.evals import corruptions, protocols
from jaxssl.train.workdir import Workdir

PROTOCOL = 'corruptions'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that only this protocol has."""
  parser.add_argument(
    '--kinds', nargs='+', metavar='KIND', help='corruptions: default: all'
  )
  parser.add_argument(
    '--severities',
    nargs='+',
    type=int,
    metavar='N',
    help='corruptions: of 1 to 5; default: all',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table of kinds and writes `results/corruptions-v2-<data>.json`."""
  chosen = tuple(arguments.kinds or kinds.KINDS)
  levels = tuple(arguments.severities or severities.SEVERITIES)
  for kind in chosen:
    for level in levels:
      kinds.check(kind, level)
  model = classifiers.make_classifier(arguments, overrides)
  protocol = corruptions.Corruptions(
    kinds=chosen,
    severities=levels,
    image_size=model.exported.image_size,
    classifier=model.settings,
  )
  batches = functools.partial(
    datasets.batches, model.source, model.exported, limit=arguments.limit
  )
  metrics = protocol.run(model.classify, batches)
  path = protocols.write_result(
    Workdir(arguments.workdir).path,
    protocol,
    model.name,
    metrics,
    config_hash=model.exported.config_hash,
    step=model.exported.step,
    seed=model.seed,
  )
  _log.info('wrote %s', path)
  rows = {'clean': {'mean': metrics['clean']}} | {
    kind: {
      'mean': metrics[kind],
      **{str(level): metrics[f'{kind}_{level}'] for level in levels},
    }
    for kind in chosen
  }
  rows['mean of the kinds'] = {'mean': metrics['top1']}
  print(protocols.format_table(rows, title=f'top-1 % on {model.name}'))
  return 0
