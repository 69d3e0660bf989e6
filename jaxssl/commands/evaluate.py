"""`jaxssl eval`: runs protocols on a workdir, prints and files the results."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import logging
import textwrap
from typing import Any

from jaxssl.arguments import data_choice, protocol_settings
from jaxssl.data.copies import Copies
from jaxssl.errors import EXIT_PREEMPTED, EXIT_USAGE, UserError
from jaxssl.evals import chance, collapse, protocols
from jaxssl.evals.evaluation import Evaluation
from jaxssl.evals.features import Features
from jaxssl.evals.table import Metrics, format_table
from jaxssl.pictures.result_plots import RESULT_PLOTS
from jaxssl.printable import printable
from jaxssl.runs import recipe, results
from jaxssl.runs.inputs import (
  Subject,
  check_taken,
  check_together,
  open_inputs,
)
from jaxssl.runs.opened import OpenedRun
from jaxssl.train.loop import Preempted
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command, and a list of the protocols."""
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
    action='store_const',
    const=True,
    help='also raw pixels, colour histogram and the untrained encoder, or the '
    'one the run began with; the default for frozen features',
  )
  parser.add_argument(
    '--no_baselines',
    dest='baselines',
    action='store_const',
    const=False,
    help='the trained encoder alone',
  )
  data_choice.add(parser)
  protocol_settings.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints tables and writes `results/<protocol>-<data>.json`.

  Of several protocols, those that the data suit are run; 2 if one is not.
  """
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
  opened, refused = _open_all(evaluations, run_)
  report = _Report(run_)
  try:
    for command, subjects in opened.items():
      try:
        for subject in subjects:
          report.add(subject, subject.evaluation.run(*subject.inputs))
      except UserError as error:
        if len(evaluations) == 1:
          raise
        refused[command] = error
  except Preempted as stopped:
    _log.info('%s; the same command goes on from here', stopped)
    return EXIT_PREEMPTED
  report.print()
  for command, error in refused.items():
    _log.error('%s was not run: %s', command, error)
  return EXIT_USAGE if refused else 0


def _open_all(
  evaluations: Mapping[str, Evaluation], run_: OpenedRun
) -> tuple[dict[str, Iterator[Subject]], dict[str, UserError]]:
  """Returns the inputs of all protocols that the data suit; and of the others.

  Returns:
    By the name on the command line, the inputs, and why the others cannot run.

  Raises:
    UserError: if an argument is wrong, or none can be run.
  """
  for command, evaluation in evaluations.items():
    check_taken(command, evaluation, run_)
  opened, refused = {}, {}
  for command, evaluation in evaluations.items():
    try:
      opened[command] = open_inputs(command, evaluation, run_)
    except UserError as error:
      refused[command] = error
  if not opened:
    raise next(iter(refused.values()))
  return opened, refused


def _protocols() -> str:
  """Returns the list of protocols for the help."""
  lines = ['protocols:']
  for command, name, needs, what, _ in protocols.table_rows():
    lines += textwrap.wrap(
      f'{what} ({name}; needs {needs})',
      width=78,
      initial_indent=f'  {command:<14} ',
      subsequent_indent=f'  {"":<14} ',
    )
  return '\n'.join(lines)


class _Report:
  """Tables of all results; those of trained encoders also go to files."""

  def __init__(self, run: OpenedRun):
    self._run = run
    self._tables: dict[tuple[str, bool], dict[str, dict[str, float]]] = {}
    self._baselines: dict[str, dict[str, Metrics]] = {}

  def add(self, subject: Subject, metrics: Metrics) -> None:
    evaluation, data = subject.evaluation, self._run.data_name
    title, rows, in_percent = evaluation.table(
      metrics, encoder=subject.encoder, data=data
    )
    table = self._tables.setdefault((title, in_percent), {})
    baselines = self._baselines.setdefault(evaluation.name, {})
    if not subject.is_trained:
      baselines[subject.encoder] = metrics
    else:
      guessed = chance.of(subject.inputs, metrics)
      for row in list(rows.values())[:1]:
        _fill(table, {'chance': _in_columns(guessed, row, evaluation.name)})
      self._keep(subject, metrics, guessed, baselines)
    _fill(table, rows)

  def _keep(
    self,
    subject: Subject,
    metrics: Metrics,
    guessed: Metrics,
    baselines: Mapping[str, Metrics],
  ) -> None:
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
      compared={
        'chance': guessed,
        'baselines': baselines,
        'collapse': _collapse(subject.inputs),
      },
    )
    _log.info('wrote %s', path)
    if draw := RESULT_PLOTS.get(type(subject.evaluation)):
      picture = workdir / 'pictures' / f'{path.stem}.png'
      picture.parent.mkdir(exist_ok=True)
      draw(subject.evaluation, metrics, picture)
      _log.info('wrote %s', picture)

  def print(self) -> None:
    for (title, in_percent), rows in self._tables.items():
      print(format_table(rows, title=title, in_percent=in_percent))
    records = self._run.records
    for name in ('train', 'test'):
      if name in records:
        print(
          '{}: {images:,} pictures, split {split!r} of {source}'.format(
            name, **records[name]
          )
        )
    if (found := records.get('copies')) and (line := str(Copies(**found))):
      print(printable(line))


def _fill(
  table: dict[str, dict[str, float]], rows: Mapping[str, Metrics]
) -> None:
  for name, row in rows.items():
    if row:
      table.setdefault(name, {}).update(row)


def _in_columns(guessed: Metrics, row: Metrics, column: str) -> Metrics:
  """Returns the metrics of guessing in the columns of a row of the table."""
  found = {name: guessed[name] for name in row if name in guessed}
  if column in row and 'top1' in guessed:
    found[column] = guessed['top1']
  return found


def _collapse(inputs: Any) -> dict[str, float]:
  """Returns the signs of collapse in what was measured; warns of them."""
  features = getattr(inputs, 'test', None) or getattr(inputs, 'images', None)
  if not isinstance(features, Features):
    return {}
  advice = collapse.advice(features.features)
  if advice:
    _log.warning('%s', advice)
  return collapse.examine(features.features)
