"""The config that the arguments of a command mean."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from jaxssl import config as config_lib
from jaxssl import defaults, fields
from jaxssl.arguments import data_choice
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir

_WARMUPS = (
  'optim.learning_rate.warmup_epochs',
  'optim.learning_rate.warmup_steps',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds `--config`, or `--method`, `--encoder`, `--data` in its place."""
  parser.add_argument(
    '--config',
    help='a Python file with get_config(), or a name of `jaxssl config --list`',
  )
  parser.add_argument('--method', help='for example simclr (no config file)')
  parser.add_argument(
    '--encoder', default=None, help='for example resnet18, vit_s16'
  )
  parser.add_argument(
    '--data', help='photos, digits, a TFDS name, or a folder of pictures'
  )
  data_choice.add_places(parser)
  parser.add_argument('--train_split', help='split to train on; default: train')
  parser.add_argument(
    '--test_split', help='split that is looked at meanwhile; default: test'
  )


def resolve(
  arguments: argparse.Namespace, overrides: Sequence[str]
) -> config_lib.Config:
  """Returns the complete config.

  It comes from `--config`, from `--method`, or from the run in `--workdir`,
  in this order; then `--config.section.key=value` replaces single values.

  Raises:
    UserError: if none of them is given, both are, or a name is unknown.
  """
  changes = {**_plain(arguments), **config_lib.parse_overrides(overrides)}
  if arguments.config and arguments.method:
    raise UserError('give either --config or --method, not both')
  config = _base(arguments, changes)
  # Names first: they decide which other keys there are.
  names = {k: v for k, v in changes.items() if _is_name(k)}
  for key, value in names.items():
    section, *schedule, _ = key.split('.')
    if schedule:
      config[section] = _with_schedule(section, config, schedule[0], value)
    elif value != config.get(section, {}).get('name'):
      config[section] = {**_kept(section, config, value), 'name': value}
  config = schema.complete(_with_required(config, changes))
  rest = {k: v for k, v in changes.items() if k not in names}
  return schema.apply_overrides(config, rest)


# Plain argument -> key of the config.
_PLAIN = {
  'data_dir': 'data.data_dir',
  'test_fraction': 'data.test_fraction',
  'train_split': 'data.split',
  'test_split': 'eval.split',
}


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the overrides that plain arguments mean."""
  return {
    key: value
    for name, key in _PLAIN.items()
    if (value := getattr(arguments, name, None)) is not None
  }


def _with_required(
  config: config_lib.Config, changes: Mapping[str, Any]
) -> config_lib.Config:
  """Puts in overrides of keys that have no default to be checked against."""
  config = {**config}
  for key, value in changes.items():
    section, _, name = key.partition('.')
    values = config.get(section)
    if section in schema.SECTIONS and values and 'name' in values:
      key = schema.keys(section, values['name']).get(name)
      if key is not None and key.is_required:
        config[section] = {**config[section], name: value}
  return config


def _base(
  arguments: argparse.Namespace, changes: Mapping[str, Any]
) -> config_lib.Config:
  if arguments.config:
    _refuse(arguments, '--config', ('encoder', 'data'))
    return config_lib.load_file(arguments.config)
  if arguments.method:
    if not arguments.data:
      raise UserError(
        '--method needs --data: photos, digits, a TFDS name, or a folder'
      )
    return defaults.default_config(
      arguments.method,
      arguments.encoder or 'resnet18',
      arguments.data,
      _length(changes),
    )
  for given in ('encoder', 'data'):
    if getattr(arguments, given):
      raise UserError(f'--{given} needs --method NAME beside it')
  workdir = getattr(arguments, 'workdir', None)
  if workdir and Workdir(workdir).config_path.exists():
    return Workdir(workdir).read_config()
  raise UserError(
    'give --config FILE, or --method NAME --encoder NAME --data NAME'
  )


def _length(changes: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the length of the run that a default warm-up is to fit into.

  A warm-up that is given stays as it is, and so does the default beside it,
  since `warmup_steps` wins over `warmup_epochs`.
  """
  if not changes.keys().isdisjoint(_WARMUPS):
    return {}
  given = {key: changes.get(f'train.{key}') for key in ('steps', 'epochs')}
  # What is no number is refused later, by name.
  return {
    key: value
    for key, value in given.items()
    if isinstance(value, int | float)
    and not isinstance(value, bool)
    and value > 0
  }


def _refuse(
  arguments: argparse.Namespace, flag: str, others: Sequence[str]
) -> None:
  for other in others:
    if getattr(arguments, other, None):
      raise UserError(
        f'{flag} holds the {other}; change it by '
        f'--config.{other}.name=NAME instead of --{other}'
      )


def _is_name(key: str) -> bool:
  """Whether a key names a constructor: of a section or of a schedule in it."""
  section, *rest = key.split('.')
  return section in schema.SECTIONS and rest[-1:] == ['name'] and len(rest) < 3


def _with_schedule(
  section: str, config: config_lib.Config, key: str, name: str
) -> dict[str, Any]:
  """Another schedule for a value; it starts where the old one does."""
  values = config.get(section, {})
  old = values.get(key)
  if old is None and 'name' in values:
    old = schema.defaults(section, values['name']).get(key)
  if not isinstance(old, Mapping):
    old = {'start': old} if isinstance(old, int | float) else {}
  keys = schema.schedule_keys(name)
  kept = {k: v for k, v in old.items() if k in keys}
  return {**values, key: {**kept, 'name': name}}


def _kept(section: str, config: config_lib.Config, name: str) -> dict[str, Any]:
  """Values of the old section that the constructor `name` takes as well."""
  keys = schema.keys(section, name)

  def is_possible(key: str, value: Any) -> bool:
    # Encoders share names of keys whose values differ (`stem`).
    return key in keys and value in (fields.choices(keys[key].hint) or (value,))

  return {
    key: value
    for key, value in config.get(section, {}).items()
    if is_possible(key, value)
  }
