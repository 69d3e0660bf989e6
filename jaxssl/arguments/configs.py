"""The config that the arguments of a command mean."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxssl import config as config_lib
from jaxssl import defaults, fields, scale
from jaxssl.arguments import data_choice, listed
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.runs import adaptation
from jaxssl.runs.sources import absolute
from jaxssl.train.workdir import Workdir

_WARMUPS = (
  'optim.learning_rate.warmup_epochs',
  'optim.learning_rate.warmup_steps',
)
_USAGE = '(--config FILE | --method NAME --data DATA)'


def add_arguments(
  parser: argparse.ArgumentParser, *, examples: Sequence[str] = ()
) -> None:
  """Adds `--config`, or `--method`, `--encoder`, `--data` in its place.

  Args:
    parser: of the command.
    examples: commands that stand below its help; none by default.
  """
  parser.usage = f'{parser.prog} {_USAGE}'
  parser.epilog = listed.below_configs(examples)
  parser.add_argument(
    '--config',
    help='a Python file with get_config(), or a name of `jaxssl config --list`',
  )
  parser.add_argument(
    '--encoder',
    default=None,
    help='one of those below; default: that of the method',
  )
  add_plain(parser)


def add_plain(parser: argparse.ArgumentParser) -> None:
  """Adds `--method`, `--data` and what says how long and how large."""
  parser.add_argument('--method', help='one of those below')
  parser.add_argument(
    '--data',
    nargs='+',
    action=data_choice.Names,
    help='folders, files, photos, digits or a TFDS name, see below',
  )
  data_choice.add_places(parser)
  parser.add_argument('--train_split', help='split to train on; default: train')
  parser.add_argument(
    '--test_split', help='split that is looked at meanwhile; default: test'
  )
  parser.add_argument('--epochs', type=float, help='passes over the data')
  parser.add_argument(
    '--steps', type=int, help='optimizer steps, which win over --epochs'
  )
  parser.add_argument('--batch_size', type=int, help='pictures per step')
  parser.add_argument('--image_size', type=int, help='side of the views')
  parser.add_argument(
    '--device', choices=('cpu', 'gpu', 'tpu'), help='default: the best here'
  )


def choose_device(arguments: argparse.Namespace) -> None:
  """Has JAX use the kind of device that is asked for, before it uses any.

  Raises:
    UserError: if there is none.
  """
  if not arguments.device:
    return
  jax.config.update('jax_platforms', arguments.device)
  try:
    jax.devices()
  except RuntimeError as error:
    raise UserError(
      f'--device {arguments.device}: JAX finds none here '
      f'({str(error).splitlines()[0]})'
    ) from error


def resolve(
  arguments: argparse.Namespace, overrides: Sequence[str], *, look: bool = True
) -> config_lib.Config:
  """Returns the complete config.

  It comes from `--config`, from `--method`, or from the run in `--workdir`,
  in this order; then plain arguments and `--config.section.key=value` replace
  single values. A run that `--method`, `--encoder` and `--data` have begun goes
  on with its own config: another day, defaults may be others.

  Args:
    arguments: what a parser with these arguments has read.
    overrides: `--config.section.key=value`.
    look: whether defaults follow the data and the devices here.

  Raises:
    UserError: if none of them is given, both are, or a name is unknown.
  """
  changes = {**_plain(arguments), **config_lib.parse_overrides(overrides)}
  if arguments.config and arguments.method:
    raise UserError('give either --config or --method, not both')
  if look and _is_new(arguments):
    resolve(arguments, overrides, look=False)  # names, before data are read
  config = _base(arguments, changes, look=look)
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
  if arguments.image_size and not _is_new(arguments):
    rest = {**_resized(config, arguments.image_size), **rest}
  return schema.apply_overrides(config, rest)


# Plain argument -> key of the config.
_PLAIN = {
  'data_dir': 'data.data_dir',
  'test_fraction': 'data.test_fraction',
  'train_split': 'data.split',
  'test_split': 'eval.split',
  'steps': 'train.steps',
  'epochs': 'train.epochs',
  'batch_size': 'train.batch_size',
}


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns the overrides that plain arguments mean."""
  changes = {
    key: value
    for name, key in _PLAIN.items()
    if (value := getattr(arguments, name, None)) is not None
  }
  if 'train.epochs' in changes and 'train.steps' not in changes:
    changes['train.steps'] = None  # they would win
  return changes


def _resized(config: config_lib.Config, size: int) -> dict[str, int]:
  """Returns the overrides for views of another size."""
  old = config['augment']['size']
  whole = round(config['input']['image_size'] * size / old)
  changes = {'augment.size': size, 'input.image_size': whole}
  if config['eval']['image_size'] is not None:
    changes['eval.image_size'] = size
  return changes


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
  arguments: argparse.Namespace, changes: Mapping[str, Any], *, look: bool
) -> config_lib.Config:
  if arguments.config:
    refuse_beside(arguments, '--config', ('encoder', 'data'))
    return config_lib.load_file(arguments.config)
  if _is_new(arguments):
    if not arguments.data:
      raise UserError(
        '--method needs --data: photos, digits, a TFDS name, or a folder'
      )
    return _defaults(arguments, changes, look=look)
  for given in ('encoder', 'data'):
    if getattr(arguments, given) and not arguments.method:
      raise UserError(f'--{given} needs --method NAME beside it')
  if (kept := _kept_config(arguments)) is not None:
    return kept
  raise UserError(
    'give --config FILE, or --method NAME --encoder NAME --data NAME'
  )


def _kept_config(arguments: argparse.Namespace) -> config_lib.Config | None:
  """Returns the config of the run in `--workdir`, if there is one."""
  workdir = getattr(arguments, 'workdir', None)
  if workdir and Workdir(workdir).config_path.exists():
    return Workdir(workdir).read_config()
  return None


def _is_new(arguments: argparse.Namespace) -> bool:
  """Whether `--method` is given, and not for the run that has begun so."""
  if not arguments.method:
    return False
  kept = _kept_config(arguments)
  return (
    kept is None
    or kept.get('method', {}).get('name') != arguments.method
    or arguments.encoder not in (None, kept['encoder'].get('name'))
    or not arguments.data
    or _place(defaults.data_section(arguments.data)) != _place(kept['data'])
  )


def _place(section: Mapping[str, Any]) -> tuple[Any, ...]:
  """Returns what two sections `data` of the same pictures have in common."""
  path = section.get('path')
  return section.get('name'), path and absolute(path)


def _defaults(
  arguments: argparse.Namespace, changes: Mapping[str, Any], *, look: bool
) -> config_lib.Config:
  """Returns the defaults for method, encoder, data and this machine."""
  own = {
    key.removeprefix('data.'): value
    for key, value in changes.items()
    if key.startswith('data.')
  }
  section = {**defaults.data_section(arguments.data), **own}
  asked = defaults.Asked(
    **{name: _number(changes.get(key)) for name, key in _ASKED.items()},
    image_size=_number(arguments.image_size or changes.get('augment.size')),
  )
  inputs = {
    key.removeprefix('input.'): value
    for key, value in changes.items()
    if key.startswith('input.')
  }
  facts = scale.look(section, inputs) if look else None
  names = arguments.method, arguments.encoder, arguments.data
  model = getattr(arguments, 'model', None)
  if model is None:
    config = defaults.default_config(*names, asked, facts)
  else:
    (start,) = absolute(arguments.start)
    config = adaptation.config_of(names, asked, facts, model, start)
  if not changes.keys().isdisjoint(_WARMUPS):
    # `warmup_steps` wins over `warmup_epochs`, so none is there by default.
    rate = config['optim']['learning_rate']
    kept = {k: v for k, v in rate.items() if not k.startswith('warmup')}
    config['optim']['learning_rate'] = kept
  return config


_ASKED = {
  'steps': 'train.steps',
  'epochs': 'train.epochs',
  'batch_size': 'train.batch_size',
}


def _number(value: Any) -> Any:
  """Returns a positive number; what is none is refused later, by name."""
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return value if is_number and value > 0 else None


def refuse_beside(
  arguments: argparse.Namespace, flag: str, others: Sequence[str]
) -> None:
  """Refuses arguments that a file of a config already answers.

  Args:
    arguments: of the command.
    flag: the one that names the file.
    others: names of arguments that do not go with it.

  Raises:
    UserError: if one is given.
  """
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
