"""`jaxssl eval`: runs protocols on a workdir, prints and files the results."""

import argparse
from collections.abc import Mapping, Sequence
import logging

from jaxssl.arguments import data_choice, protocol_settings
from jaxssl.errors import EXIT_PREEMPTED
from jaxssl.evals import protocols
from jaxssl.evals.table import Metrics, format_table
from jaxssl.pictures.result_plots import RESULT_PLOTS
from jaxssl.runs import recipe, results
from jaxssl.runs.inputs import Subject, check_together, open_inputs
from jaxssl.runs.opened import OpenedRun
from jaxssl.train.loop import Preempted
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command, and a list of the protocols."""
  parser.formatter_class = argparse.RawDescriptionHelpFormatter
  parser.usage = f'{parser.prog} PROTOCOL ... --workdir DIR [--OPTION VALUE]'
  parser.epilog = _protocols()
  parser.add_argument(
    'protocol', nargs='+', help='one or more of those listed below'
  )
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument('--layer', help='an intermediate of the encoder instead')
  parser.add_argument('--train_split', help='default: train')
  parser.add_argument('--test_split', help='default: that of the run, or test')
  parser.add_argument(
    '--split',
    help='of what looks at one split; default: that of the run, or test; all '
    'of a file of pairs',
  )
  parser.add_argument(
    '--baselines',
    action='store_true',
    help='also raw pixels, colour histogram and the untrained encoder',
  )
  data_choice.add(parser)
  protocol_settings.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints tables and writes `results/<protocol>-<data>.json`."""
  evaluations = protocol_settings.chosen(arguments)
  check_together(evaluations)
  run_ = OpenedRun(
    workdir=Workdir(arguments.workdir),
    choice=data_choice.choice(arguments, overrides),
    step=arguments.step,
    layer=arguments.layer,
    train_split=arguments.train_split,
    test_split=arguments.test_split,
    split=arguments.split,
    baselines=arguments.baselines,
  )
  opened = [open_inputs(*item, run_) for item in evaluations.items()]
  report = _Report(run_)
  try:
    for subjects in opened:
      for subject in subjects:
        report.add(subject, subject.evaluation.run(*subject.inputs))
  except Preempted as stopped:
    _log.info('%s; the same command goes on from here', stopped)
    return EXIT_PREEMPTED
  report.print()
  return 0


def _protocols() -> str:
  """Returns the list of protocols for the help."""
  lines = ['protocols:']
  for command, name, needs, what, _ in protocols.table_rows():
    lines.append(f'  {command:<14} {what}')
    lines.append(f'  {"":<14} ({name}; needs {needs})')
  return '\n'.join(lines)


class _Report:
  """Tables of all results; those of trained encoders also go to files."""

  def __init__(self, run: OpenedRun):
    self._run = run
    self._tables: dict[str, dict[str, dict[str, float]]] = {}

  def add(self, subject: Subject, metrics: Metrics) -> None:
    evaluation, data = subject.evaluation, self._run.data_name
    title, rows = evaluation.table(metrics, encoder=subject.encoder, data=data)
    table = self._tables.setdefault(title, {})
    for name, row in rows.items():
      table.setdefault(name, {}).update(row)
    if subject.is_trained:
      self._keep(subject, metrics)

  def _keep(self, subject: Subject, metrics: Mapping[str, float]) -> None:
    workdir = self._run.workdir.path
    path = results.write_result(
      workdir,
      subject.evaluation,
      self._run.data_name,
      metrics,
      config_hash=subject.exported.config_hash,
      step=subject.exported.step,
      seed=self._run.seed,
      place=self._run.data_place,
      records=self._run.records,
      recipe=recipe.of_run(self._run, subject.exported),
    )
    _log.info('wrote %s', path)
    if type(subject.evaluation) in RESULT_PLOTS:
      name, draw = RESULT_PLOTS[type(subject.evaluation)]
      picture = workdir / 'pictures' / name
      picture.parent.mkdir(exist_ok=True)
      draw(subject.evaluation, metrics, picture)
      _log.info('wrote %s', picture)

  def print(self) -> None:
    for title, rows in self._tables.items():
      print(format_table(rows, title=title))
    records = self._run.records
    for name in ('train', 'test'):
      if name in records:
        print(
          '{}: {images:,} pictures, split {split!r} of {source}'.format(
            name, **records[name]
          )
        )
