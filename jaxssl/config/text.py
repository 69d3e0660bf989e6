"""Configs as text: files, overrides, what a workdir remembers, differences.

A config is a nested dict; each section is the keyword arguments of one
constructor (`config.schema` knows which). A config *file* is Python code that
defines `get_config()`; like any code, run only files that you trust. Workdirs
keep the resolved config as JSON, which is data.
"""

import ast
from collections.abc import Mapping, Sequence
import hashlib
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
      `ml_collections.ConfigDict`.

  Raises:
    UserError: if the file does not exist, fails, or has no `get_config`.
  """
  path = shipped.find(path)
  try:
    get_config = runpy.run_path(str(path)).get('get_config')
    config = to_plain(get_config()) if get_config else None
  except (Exception, SystemExit) as error:
    raise UserError(
      f'config file {str(path)!r} fails: {type(error).__name__}: {error}'
    ) from error
  if not isinstance(config, dict):
    raise UserError(
      f'config file {str(path)!r} must define get_config() -> ConfigDict'
    )
  return config


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
