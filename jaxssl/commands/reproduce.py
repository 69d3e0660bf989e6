"""`jaxssl reproduce`: from a result to the same number, and what differs."""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import json
import logging
import pathlib
from typing import Any, NamedTuple

from jaxssl import config as config_lib
from jaxssl.arguments import data_choice
from jaxssl.commands import train
from jaxssl.config import schema
from jaxssl.data import Paths
from jaxssl.errors import EXIT_DIFFERS, EXIT_PREEMPTED, UserError
from jaxssl.evals import protocols
from jaxssl.evals.table import Metrics, aligned
from jaxssl.runs import encoders, recipe, results
from jaxssl.runs.inputs import open_inputs
from jaxssl.runs.opened import OpenedRun
from jaxssl.train.loop import Preempted
from jaxssl.train.workdir import Workdir, fixed_part
from jaxssl.weights.exported import load_encoder

_log = logging.getLogger(__name__)


class _Result(NamedTuple):
  protocol: str
  settings: dict[str, Any]
  metrics: dict[str, float]
  step: int
  versions: dict[str, str]
  recipe: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'result', type=pathlib.Path, help='a file of results/ of a workdir'
  )
  parser.add_argument(
    '--workdir',
    required=True,
    help='a new folder, where the run is trained again; or one that holds it, '
    'which is evaluated again',
  )
  parser.add_argument(
    '--data',
    nargs='+',
    action=data_choice.Names,
    help='of the evaluation, if it lies elsewhere now',
  )
  parser.add_argument(
    '--tolerance',
    type=float,
    default=0.0,
    help='largest difference of a number that counts as none; default: 0',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Returns 0 if every number is the same, 1 if one differs."""
  result = _read(arguments.result)
  command, evaluation = protocols.restored(result.protocol, result.settings)
  workdir = Workdir(arguments.workdir)
  chosen = _choose(result.recipe, workdir, arguments.data)
  _prepare(workdir, result.recipe, overrides)
  code = _train(workdir, result.step)
  if code:
    return code
  opened = _at_step(chosen, result.step)
  (subject,) = open_inputs(command, evaluation, opened)
  try:
    metrics = subject.evaluation.run(*subject.inputs)
  except Preempted as stopped:
    _log.info('%s; the same command goes on from here', stopped)
    return EXIT_PREEMPTED
  _print_origin(result, recipe.of_run(opened, subject.exported))
  return _compare(result.metrics, metrics, arguments.tolerance)


def _read(path: pathlib.Path) -> _Result:
  """Reads a result that can be reproduced."""
  try:
    found = json.loads(path.read_text(encoding='utf-8'))
    settings = config_lib.to_plain(found['settings'])
    metrics = {name: float(v) for name, v in found['metrics'].items()}
    kept = {'settings': settings, 'metrics': metrics}
    rest = {name: found[name] for name in ('protocol', 'step', 'versions')}
  except OSError as error:
    raise UserError(f'cannot read {str(path)!r}: {error.strerror}') from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
      f'{str(path)!r} is not a result of `jaxssl eval` ({error!r})'
    ) from error
  if not isinstance(found.get('recipe'), dict):
    raise UserError(
      f'{str(path)!r} does not say how it came about, as results of earlier '
      'versions do not; evaluate the run again'
    )
  return _Result(**kept, **rest, recipe=found['recipe'])


def _prepare(
  workdir: Workdir, recipe_: Mapping[str, Any], overrides: Sequence[str]
) -> None:
  """Puts the config of the result into a new workdir, or checks an old one."""
  config = recipe_.get('config')
  changes = config_lib.parse_overrides(overrides)
  if config is None or 'train' not in config:
    if changes or not workdir.export.exists():
      raise UserError(
        'the result is of imported weights, which no run makes again; give '
        '--workdir of `jaxssl import`, and no --config.*'
      )
    return
  config = schema.complete(config_lib.to_plain(config))
  config = schema.apply_overrides(config, changes)
  if not workdir.config_path.exists():
    if recipe_.get('longer_after'):
      raise UserError(
        'the run of the result became longer after step '
        f'{recipe_["longer_after"][0]}, so its config alone does not make it '
        'again; give the --workdir that holds it'
      )
    workdir.keep_config(config)
    return
  kept = schema.complete(workdir.read_config())
  changed = config_lib.differences(fixed_part(config), fixed_part(kept))
  if changed:
    raise UserError(
      f'workdir {str(workdir.path)!r} holds another run ({changed[0]}); give a '
      'new folder'
    )


def _train(workdir: Workdir, step: int) -> int:
  """Trains to the end, unless the weights are there; returns the exit code."""
  is_exported = (workdir.export / 'encoder.json').exists()
  if is_exported and load_encoder(workdir.export).step >= step:
    return 0
  parser = argparse.ArgumentParser()
  train.add_arguments(parser)
  return train.run(parser.parse_args([f'--workdir={workdir.path}']), ())


def _choose(
  recipe_: Mapping[str, Any], workdir: Workdir, data: Paths | None
) -> OpenedRun:
  """Returns what is evaluated, of which nothing is opened yet."""
  chosen = recipe.open_run(recipe_, workdir)
  if data is None:
    return chosen
  if chosen.choice.data is None:
    raise UserError(
      'the result is of the data of its run; where they lie now is said by '
      '--config.data.path=FOLDER'
    )
  choice = dataclasses.replace(chosen.choice, data=data)
  return dataclasses.replace(chosen, choice=choice)


def _at_step(chosen: OpenedRun, step: int) -> OpenedRun:
  is_newest = encoders.load(chosen.workdir).step == step
  return dataclasses.replace(chosen, step=None if is_newest else step)


def _print_origin(result: _Result, here: Mapping[str, Any]) -> None:
  """Prints what the number depends on, there and here."""
  before, now = _origin(result.recipe), _origin(here)
  before |= result.versions
  now |= results.versions()
  rows = [
    [name, str(before.get(name)), _same(before.get(name), now.get(name))]
    for name in before | now
  ]
  print(aligned([['', 'result', 'here'], *rows]))
  changed = config_lib.differences(
    config_lib.to_plain(result.recipe['config'] or {}), here['config'] or {}
  )
  for line in changed:
    print(f'config: {line}')


def _origin(recipe_: Mapping[str, Any]) -> dict[str, Any]:
  origin = {
    name: recipe_.get(name)
    for name in (
      'code',
      'device',
      'compiler_options',
      'training_data',
      'weights',
    )
  }
  data = recipe_.get('data') or {}
  return origin | {f'data, {name}': value for name, value in data.items()}


def _compare(before: Metrics, now: Metrics, tolerance: float) -> int:
  """Prints the numbers; returns 1 if one differs by more than allowed."""
  different = [
    name
    for name, value in before.items()
    if name not in now or not abs(now[name] - value) <= tolerance
  ]
  rows = [
    [name, repr(value), _same(value, now.get(name))]
    for name, value in before.items()
  ]
  print()
  print(aligned([['', 'result', 'here'], *rows]))
  if different:
    print(f'not reproduced: {", ".join(different)}')
    return EXIT_DIFFERS
  print('reproduced')
  return 0


def _same(before: Any, now: Any) -> str:
  return 'the same' if before == now else str(now)
