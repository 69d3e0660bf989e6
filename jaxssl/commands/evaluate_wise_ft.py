"""`jaxssl eval wise_ft`: weights between before and after fine-tuning."""

import argparse
from collections.abc import Mapping, Sequence
import logging
import pathlib
from typing import Any

import numpy as np

from jaxssl import data
from jaxssl.commands import datasets, evaluate_pairs, evaluate_shift
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import protocols, wise_ft
from jaxssl.evals.finetune import START
from jaxssl.evals.shift import mapped_labels
from jaxssl.pictures.wise_ft import wise_ft_curve
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, load_encoder

PROTOCOL = 'wise_ft'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that only this protocol has."""
  parser.add_argument(
    '--finetuned',
    help='wise_ft: folder in WORKDIR/finetune; default: the only one there '
    'that began with --templates',
  )
  parser.add_argument(
    '--alphas',
    nargs='+',
    type=float,
    metavar='A',
    help='wise_ft: shares of the fine-tuned weights; default: 0, 0.1, ... 1',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table, writes `results/wise_ft-v1-<data>.json` and a plot."""
  workdir = Workdir(arguments.workdir)
  sets = evaluate_shift.named_sets(arguments.shifted, PROTOCOL)
  folder = _folder(workdir, arguments.finetuned)
  protocol = wise_ft.WiseFT(
    finetuned=folder.name,
    shifted=sets,
    class_map=evaluate_shift.class_map(arguments.class_map),
    alphas=tuple(arguments.alphas or wise_ft.ALPHAS),
  )
  section = evaluate_pairs.data_section(arguments, workdir)
  section = datasets.with_overrides(section, overrides)
  sources = {
    wise_ft.REFERENCE: evaluate_shift.labelled(data.make_source(**section))
  } | {
    name: evaluate_shift.open_set(arguments, text, section)
    for name, text in sets.items()
  }
  start, end = load_encoder(folder / START), load_encoder(folder / 'export')
  judge = _Judge(end, sources, protocol.class_map, arguments.limit)
  found = protocol.run(_variables(start), _variables(end), judge)
  path = protocols.write_result(
    workdir.path,
    protocol,
    datasets.data_name(section),
    wise_ft.metrics(found),
    config_hash=end.config_hash,
    step=end.step,
    seed=workdir.read_config()['seed'],
  )
  picture = workdir.path / 'pictures' / 'wise_ft.png'
  picture.parent.mkdir(exist_ok=True)
  wise_ft_curve(found, picture)
  _log.info('wrote %s and %s', path, picture)
  rows = {f'{alpha:g}': row for alpha, row in found.items()}
  print(protocols.format_table(rows, title='share, top-1 %'))
  return 0


def _folder(workdir: Workdir, given: str | None) -> pathlib.Path:
  """Returns the folder of the fine-tuning."""
  parent = workdir.path / 'finetune'
  if given:
    folder = parent / pathlib.Path(given).name
    if not (folder / START).is_dir() or not (folder / 'export').is_dir():
      raise UserError(
        f'{str(folder)!r} is no finished fine-tuning that began with '
        '--templates'
      )
    return folder
  found = [
    path.parent
    for path in sorted(parent.glob(f'*/{START}'))
    if (path.parent / 'export').is_dir()
  ]
  if not found:
    raise UserError(
      f'no fine-tuning in {str(parent)!r} that began with texts; run `jaxssl '
      'eval finetune --templates photo` first'
    )
  if len(found) > 1:
    names = ', '.join(path.name for path in found)
    raise UserError(f'give one of several fine-tunings to --finetuned: {names}')
  return found[0]


def _variables(exported: ExportedEncoder) -> dict[str, Any]:
  return {
    'encoder': exported.variables,
    'classifier': exported.towers['classifier'],
  }


class _Judge:
  """Accuracies of encoder and classifier on all sets."""

  def __init__(
    self,
    exported: ExportedEncoder,
    sources: Mapping[str, Any],
    class_map: Mapping[str, str | None] | None,
    limit: int | None,
  ):
    self._exported, self._sources = exported, sources
    self._class_map, self._limit = class_map, limit
    self._classes = tuple(sources[wise_ft.REFERENCE].class_names)

  def __call__(self, variables: Mapping[str, Any]) -> dict[str, float]:
    """Returns the accuracy on each set, among the classes that it has."""
    exported = self._exported
    encode = features_lib.encode_fn(
      exported.encoder, variables['encoder'], exported.normalize
    )
    return {
      name: self._top1(encode, name, source, variables['classifier'])
      for name, source in self._sources.items()
    }

  def _top1(self, encode, name, source, classifier) -> float:
    found = features_lib.extract(
      encode,
      datasets.batches(source, self._exported, limit=self._limit),
      class_names=source.class_names,
    )
    own = name == wise_ft.REFERENCE
    labels = mapped_labels(
      found, self._classes, None if own else self._class_map
    )
    among = np.unique(labels[labels >= 0])
    if not len(among):
      raise UserError(
        f'{name} shares no class with {list(self._classes[:3])}...; give '
        '--class_map FILE'
      )
    kernel, bias = (np.asarray(classifier[k]) for k in ('kernel', 'bias'))
    logits = (found.features @ kernel + bias)[labels >= 0][:, among]
    return float((among[logits.argmax(1)] == labels[labels >= 0]).mean())
