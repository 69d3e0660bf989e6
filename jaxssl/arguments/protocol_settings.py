"""Arguments of `jaxssl eval` that are made from the fields of evaluations."""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from jaxssl import nearest
from jaxssl.errors import UserError, unknown
from jaxssl.evals.classifiers import NEIGHBOURS, TEXTS
from jaxssl.evals.evaluation import Evaluation
from jaxssl.evals.protocols import PROTOCOLS, as_words
from jaxssl.evals.settings import Setting, settings


def add(parser: argparse.ArgumentParser) -> None:
  """Adds an argument for each setting of any protocol."""
  group = parser.add_argument_group('settings of the protocols')
  for name, owners in _by_name().items():
    first = next(iter(owners.values()))
    defaults = '; '.join(
      f'{command}: {as_words(setting.default)}'
      for command, setting in owners.items()
    )
    group.add_argument(
      f'--{name}',
      nargs='+' if first.takes_several else None,
      metavar=first.metavar or name.upper(),
      help=f'{first.meaning.rstrip(".")} ({defaults})'.replace('%', '%%'),
    )


def chosen(arguments: argparse.Namespace) -> dict[str, Evaluation]:
  """Returns the protocols of a command line with their settings.

  Raises:
    UserError: for an unknown protocol, or a setting that none of them has.
  """
  given = {
    name: [value] if isinstance(value, str) else value
    for name in _by_name()
    if (value := getattr(arguments, name)) is not None
  }
  for command in arguments.protocol:
    if command not in PROTOCOLS:
      raise unknown('protocol', command, PROTOCOLS)
  taken = {name: _taken(PROTOCOLS[name], given) for name in arguments.protocol}
  for name in given:
    if not any(name in settings_ for settings_ in taken.values()):
      owners = [c for c, e in PROTOCOLS.items() if _taken(e, {name: ()})]
      own = [
        f'--{other}'
        for other in _by_name()
        if any(_taken(PROTOCOLS[c], {other: ()}) for c in arguments.protocol)
      ]
      hint = nearest.hint(f'--{name}', own, most=1)
      raise UserError(
        f'{", ".join(taken)} takes no --{name}; it is for {", ".join(owners)}'
        + (f'; {hint}' if hint else '')
      )
  return {
    command: _changed(PROTOCOLS[command], taken[command])
    for command in arguments.protocol
  }


def _by_name() -> dict[str, dict[str, Setting]]:
  """Returns name of a setting -> protocol -> setting."""
  found: dict[str, dict[str, Setting]] = {}
  for command, evaluation in PROTOCOLS.items():
    for setting in settings(evaluation):
      found.setdefault(setting.name, {})[command] = setting
  return found


def _taken(
  evaluation: Any, given: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
  """Returns what is given for an evaluation or its classifier."""
  own = _names(evaluation)
  if _has_classifier(evaluation):
    own |= _names(NEIGHBOURS) | _names(TEXTS)
  return {name: texts for name, texts in given.items() if name in own}


def _changed(evaluation: Any, given: Mapping[str, Sequence[str]]) -> Any:
  """Returns an evaluation with other settings."""
  by_name = {setting.name: setting for setting in settings(evaluation)}
  changes = {
    name: by_name[name].from_texts(texts)
    for name, texts in given.items()
    if name in by_name
  }
  rest = {name: texts for name, texts in given.items() if name not in by_name}
  if rest:
    changes['classifier'] = _classifier(rest)
  return dataclasses.replace(evaluation, **changes)


def _classifier(given: Mapping[str, Sequence[str]]) -> Any:
  """Returns the classifier that has all these settings."""
  for classifier in (NEIGHBOURS, TEXTS):
    if given.keys() <= _names(classifier):
      return _changed(classifier, given)
  names = ' and '.join(f'--{name}' for name in given)
  raise UserError(f'{names} are of different classifiers; leave one out')


def _names(evaluation: Any) -> set[str]:
  return {setting.name for setting in settings(evaluation)}


def _has_classifier(evaluation: Any) -> bool:
  fields = dataclasses.fields(evaluation)
  return any(field.name == 'classifier' for field in fields)
