"""Configs as text: files, overrides, what a workdir remembers, differences.

A config is a nested dict; each section is the keyword arguments of one
constructor (`config.schema` knows which). A config *file* is Python code that
defines `get_config()`; like any code, run only files that you trust. Workdirs
keep the resolved config as JSON, which is data.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
import hashlib
import inspect
import json
import pathlib
import runpy
from typing import Any

from jaxssl.config import shipped
from jaxssl.errors import UserError

Config = dict[str, Any]
PREFIX = '--config.'


def load_file(path: str | pathlib.Path) -> Config:
  """Runs a config file and returns what its `get_config()` returns.

  Args:
    path: a Python file, or the name of a config that comes with jaxssl
      (`'quickstart'`); `get_config` returns a dict or an
      `ml_collections.ConfigDict`. `'FILE:ARGUMENT'` calls
      `get_config('ARGUMENT')`; the file may say in `ARGUMENTS` what it takes.

  Raises:
    UserError: if the file does not exist, fails, has no `get_config`, or takes
      another argument.
  """
  place, argument = shipped.split(path)
  file = str(shipped.find(place))
  names = _run(file, lambda: runpy.run_path(file))
  get_config = names.get('get_config')
  config = None
  if callable(get_config):
    _check_argument(place, get_config, argument, names.get('ARGUMENTS', ()))
    given = () if argument is None else (argument,)
    config = _run(file, lambda: to_plain(get_config(*given)))
  if not isinstance(config, dict):
    raise UserError(
      f'config file {file!r} must define get_config() -> ConfigDict'
    )
  return config


def _run(file: str, call: Callable[[], Any]) -> Any:
  """Calls what a config file defines; its errors are the user's to mend."""
  try:
    return call()
  except (Exception, SystemExit) as error:
    raise UserError(
      f'config file {file!r} fails: {type(error).__name__}: {error}'
    ) from error


def _check_argument(
  place: str,
  get_config: Callable[..., Any],
  argument: str | None,
  options: Sequence[str],
) -> None:
  parameters = inspect.signature(get_config).parameters.values()
  if argument is not None and not parameters:
    raise UserError(
      f'config {place!r} takes nothing behind a colon, got {argument!r}'
    )
  is_missing = argument is None and any(
    parameter.default is parameter.empty for parameter in parameters
  )
  known = ', '.join(options)
  if is_missing:
    word = options[0] if options else 'ARGUMENT'
    raise UserError(
      f"config {place!r} needs one word more, as in '{place}:{word}'"
      + (f'; it has {known}' if options else '')
    )
  if argument is not None and options and argument not in options:
    raise UserError(f'config {place!r} has no {argument!r}; it has {known}')


def to_plain(value: Any) -> Any:
  """Turns ConfigDicts into dicts and sequences into tuples, all the way."""
  if hasattr(value, 'items'):
    return {str(key): to_plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return tuple(to_plain(item) for item in value)
  return value


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
  """Parses `--config.train.steps=100` into `{'train.steps': 100}`.

  Values are Python literals; what is not a literal is a string. `true`,
  `false` and `none` are accepted in any case.

  Raises:
    UserError: if an argument does not have this form.
  """
  overrides = {}
  for argument in arguments:
    if not argument.startswith(PREFIX) or '=' not in argument:
      raise UserError(
        f'unexpected argument {argument!r}; overrides look like '
        '--config.train.steps=100'
      )
    key, _, text = argument[len(PREFIX) :].partition('=')
    overrides[key] = _parse_value(text)
  return overrides


def flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns dotted key -> value for all leaves of a nested dict."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def unflatten(flat: Mapping[str, Any]) -> Config:
  """The inverse of `flatten`."""
  config: Config = {}
  for dotted, value in flat.items():
    *sections, key = dotted.split('.')
    node = config
    for section in sections:
      node = node.setdefault(section, {})
    node[key] = value
  return config


def to_json(config: Config) -> str:
  """Returns the config as indented JSON, keys in their order."""
  return json.dumps(config, indent=2)


def from_json(text: str) -> Config:
  """The inverse of `to_json`: lists become tuples again."""
  return to_plain(json.loads(text))


def config_hash(config: Config) -> str:
  """Returns eight hexadecimal digits that stand for this config."""
  text = json.dumps(config, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(old: Config, new: Config) -> list[str]:
  """Returns one line `key: old -> new` for each leaf that differs."""
  before, after = flatten(old), flatten(new)
  return [
    f'{key}: {before.get(key)!r} -> {after.get(key)!r}'
    for key in sorted(before.keys() | after.keys())
    if before.get(key) != after.get(key)
  ]


def _parse_value(text: str) -> Any:
  words = {'true': True, 'false': False, 'none': None}
  if text.lower() in words:
    return words[text.lower()]
  try:
    return to_plain(ast.literal_eval(text))
  except (ValueError, SyntaxError):
    return text
