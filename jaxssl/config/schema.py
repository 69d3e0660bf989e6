"""Which keys each section of a config has, and configs with all of them.

A section is the keyword arguments of one constructor; `name`, where a section
has one, chooses the constructor from a table.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Literal

from jaxssl import data, fields, models
from jaxssl.augment.recipes import RECIPES
from jaxssl.config.keys import (
  REQUIRED,
  Key,
  check,
  keys_of,
  keys_of_module,
  keyword_keys_of,
)
from jaxssl.config.sections import Eval, Input, Train
from jaxssl.config.text import Config, flatten, to_plain, unflatten
from jaxssl.errors import UserError, unknown
from jaxssl.methods import METHODS
from jaxssl.nearest import nearest
from jaxssl.ops.schedules import SCHEDULES, Schedule
from jaxssl.text import make_tokenizer
from jaxssl.train import algorithms, optim

HEADS = {name: row.head for name, row in METHODS.items() if row.head}
CONSTRUCTORS = {name: row.make for name, row in METHODS.items()}
# Sizes of a text encoder that follow from the tokenizer where they are None.
OF_TOKENIZER = {
  'vocab_size': 'vocab_size',
  'length': 'length',
  'eot_id': 'end_id',
}
# Keys of a text encoder that follow the image encoder where they are None.
OF_ENCODER = ('dtype', 'remat')
LrScaling = Literal['none', 'linear', 'sqrt']
_LR_SCALING = Key(
  name='lr_scaling',
  hint=LrScaling,
  default='linear',
  meaning='factor of the learning rate by the batch B: 1, B / 256 or sqrt(B).',
)
SECTIONS = (
  'encoder',
  'head',
  'text',
  'text_encoder',
  'method',
  'augment',
  'data',
  'input',
  'optim',
  'train',
  'eval',
)
# Sections without a name, each with its one constructor.
_NAMELESS: dict[str, Callable[..., Any]] = {
  'text': make_tokenizer,
  'input': Input,
  'train': Train,
  'eval': Eval,
}
_TABLES: dict[str, Mapping[str, Callable[..., Any]]] = {
  'head': HEADS,
  'method': CONSTRUCTORS,
  'augment': RECIPES,
}
# What `build` gives to a method.
_GIVEN = ('encoder', 'text_encoder', 'head', 'channels')
# What `build` reads for a method from a folder, which the config has.
_CODEBOOK, _TEACHER = 'tokenizer', 'teacher'


def keys(section: str, name: str | None = None) -> dict[str, Key]:
  """Returns the keys that a section accepts beside its name.

  Args:
    section: one of `SECTIONS`.
    name: what the section's `name` is, where it has one.

  Raises:
    UserError: if the name is unknown.
  """
  if section in _NAMELESS:
    return keys_of(_NAMELESS[section])
  if section == 'encoder':
    return keys_of_module(models.make_encoder(name or ''))
  if section == 'text_encoder':
    return _text_encoder_keys(name)
  if section == 'data':
    return keys_of(data.SOURCES.get(name or '', data.Tfds))
  if section == 'optim':
    return _optimizer_keys(name)
  if name is None or name not in _TABLES[section]:
    raise unknown(section, name, _TABLES[section])
  found = _without(keys_of(_TABLES[section][name]), *_GIVEN)
  if section == 'method':
    for key in found.keys() & {_CODEBOOK, _TEACHER}:
      found[key] = dataclasses.replace(found[key], hint=str)
  return found


def takes_codebook(method: str) -> bool:
  """Returns whether a method needs the export of a discrete VAE."""
  return _CODEBOOK in keys('method', method)


def takes_teacher(method: str) -> bool:
  """Returns whether a method needs a trained encoder to imitate."""
  return _TEACHER in keys('method', method)


def defaults(section: str, name: str | None = None) -> Config:
  """Returns the default of each key of a section, `REQUIRED` where none is.

  Args:
    section: one of `SECTIONS`.
    name: what the section's `name` is, where it has one.

  Raises:
    UserError: if the name is unknown.
  """
  return {key: found.default for key, found in keys(section, name).items()}


def schedule_keys(name: str) -> dict[str, Key]:
  """Returns the keys of a schedule beside `name`.

  What counts steps can be given in epochs as well.

  Raises:
    UserError: if the name is unknown.
  """
  if name not in SCHEDULES:
    raise unknown('schedule', name, SCHEDULES)
  found = {}
  for key in keys_of(SCHEDULES[name]).values():
    if key.name in ('num_steps', 'steps_per_epoch'):
      continue  # known from the run
    if not key.name.endswith('_steps'):
      found[key.name] = key
      continue
    steps = dataclasses.replace(key, default=None)
    epochs = key.name.removesuffix('_steps') + '_epochs'
    found |= {
      key.name: steps,
      epochs: dataclasses.replace(
        steps, name=epochs, hint=_in_epochs(key.hint)
      ),
    }
  return found


def complete(config: Config) -> Config:
  """Fills in all defaults and checks all names, types and ranges.

  Args:
    config: sections with the values that differ from the defaults; `method`,
      `encoder` and `data` need a `name`. A list is as good as a tuple.

  Returns:
    A config in which every valid key exists.

  Raises:
    UserError: unknown section, key or name (with the closest one); a missing
      value, or one that is not possible.
  """
  config = {'seed': 0, **{s: {} for s in SECTIONS}, **to_plain(config)}
  _check_sections(config)
  config = {name: {} if v is None else v for name, v in config.items()}
  method = config['method'].get('name')
  config['head'] = config['head'] or _default_head(method)
  text_encoder = _text_encoder(method)
  if text_encoder and not config['text_encoder'].get('name'):
    config['text_encoder'] = {**config['text_encoder'], 'name': text_encoder}
  return {'seed': config['seed']} | {
    section: _complete_section(section, config[section])
    if _is_used(section, config)
    else {}
    for section in SECTIONS
  }


def apply_overrides(config: Config, overrides: Mapping[str, Any]) -> Config:
  """Returns `config` with dotted keys replaced.

  Args:
    config: complete sections, one or more.
    overrides: dotted key -> value, as from `parse_overrides`.

  Raises:
    UserError: if a key does not exist (with the closest one), names a section,
      or has a value that it does not take.
  """
  flat = flatten(config)
  for key, value in overrides.items():
    # A schedule may stand where a number is: --config.optim.learning_rate.end.
    if key not in flat:
      if any(known.startswith(key + '.') for known in flat):
        own = [known for known in flat if known.startswith(key + '.')]
        raise UserError(
          f'config.{key} is a section; set its keys, for example '
          f'--config.{nearest(key, own, most=1)[0]}=...'
        )
      raise unknown('config key', key, flat)
    if value is None and isinstance(flat[key], str):
      value = 'none'  # the name of an option, as in optim.lr_scaling
    flat[key] = _typed(config, key, value)
  return unflatten(flat)


def _typed(config: Config, dotted: str, value: Any) -> Any:
  """Returns the value of an override as its key takes it."""
  if dotted == 'seed':
    return fields.convert('config.seed', value, int)
  section, name, *rest = dotted.split('.')
  values = config[section]
  if name == 'name':
    return str(value)
  if not rest:
    key = keys(section, values.get('name'))[name]
    return _completed(f'config.{dotted}', value, key)
  if 'name' in values[name] and rest[0] != 'name':
    key = schedule_keys(values[name]['name'])[rest[0]]
    return check(f'config.{dotted}', value, key)
  return value


def _check_sections(config: Config) -> None:
  for name in config:
    if name not in ('seed', *SECTIONS):
      raise unknown('config section', name, ('seed', *SECTIONS))
    is_section = name == 'seed' or isinstance(config[name], Mapping | None)
    if not is_section:
      raise UserError(
        f'config.{name} must be a section of keys, got {config[name]!r}'
      )
  if type(config['seed']) is not int:
    raise UserError(f'config.seed must be an integer, got {config["seed"]!r}')


def _is_used(section: str, config: Config) -> bool:
  """Whether the method of a config has something to do with a section."""
  if section == 'head':
    # A method without a head of its own has an empty section.
    return bool(config['head'])
  if section in ('text', 'text_encoder'):
    return _takes_text(config)
  return True


def _takes_text(config: Config) -> bool:
  """Whether the method has a text tower.

  Raises:
    UserError: if it has none, but the config has sections for it.
  """
  name = config['method'].get('name')
  takes = _text_encoder(name) is not None
  for section in ('text', 'text_encoder'):
    if config[section] and not takes:
      raise UserError(
        f'method {name!r} takes no text; leave config.{section} out'
      )
  return takes


def _text_encoder(method: str | None) -> str | None:
  """Returns the name of a method's text tower, None if it takes no text."""
  return METHODS[method].text_encoder if method in METHODS else None


def _default_head(method: str | None) -> Config:
  return {'name': method} if method in HEADS else {}


def _complete_section(section: str, values: Mapping[str, Any]) -> Config:
  named = section not in _NAMELESS
  if named and not values.get('name'):
    raise UserError(f'config.{section}.name is missing')
  accepted = keys(section, values.get('name'))
  for name in values:
    if name != 'name' and name not in accepted:
      raise unknown(f'key of config.{section}', name, accepted)
  result = {'name': values['name']} if named else {}
  for name, key in accepted.items():
    value = values.get(name, key.default)
    if value is REQUIRED:
      raise UserError(
        f'config.{section}.{name} is missing ({section} '
        f'{values.get("name")!r} needs it)'
      )
    result[name] = _completed(f'config.{section}.{name}', value, key)
  return result


def _completed(name: str, value: Any, key: Key) -> Any:
  if isinstance(value, Mapping) and fields.takes_schedule(key.hint):
    return _complete_schedule(name, value)
  return check(name, value, key)


def _complete_schedule(where: str, values: Mapping[str, Any]) -> Config:
  if 'name' not in values:
    raise UserError(f'{where} is a schedule without a name; give one')
  name = values['name']
  accepted = schedule_keys(name)
  for key in values:
    if key != 'name' and key not in accepted:
      raise unknown(f'key of schedule {name!r}', key, accepted)
  result = {'name': name}
  for key in accepted.values():
    value = values.get(key.name, key.default)
    if value is REQUIRED:
      raise UserError(f'schedule {name!r} needs {key.name!r}')
    result[key.name] = check(f'{where}.{key.name}', value, key)
  return result


def _text_encoder_keys(name: str | None) -> dict[str, Key]:
  found = keys_of_module(models.make_text_encoder(name or ''))
  for follower in (*OF_TOKENIZER, *OF_ENCODER):
    found[follower] = dataclasses.replace(found[follower], default=None)
  return found


def _optimizer_keys(name: str | None) -> dict[str, Key]:
  if name not in algorithms.OPTIMIZERS:
    raise unknown('optimizer', name, algorithms.OPTIMIZERS)
  common = keyword_keys_of(optim.make_optimizer)
  # A number stands for a constant schedule.
  rate = dataclasses.replace(common['learning_rate'], hint=float | Schedule)
  return (
    common
    | {'learning_rate': rate}
    | keyword_keys_of(algorithms.OPTIMIZERS[name])
    | {'lr_scaling': _LR_SCALING}
  )


def _without(found: dict[str, Key], *names: str) -> dict[str, Key]:
  return {name: key for name, key in found.items() if name not in names}


def _in_epochs(hint: Any) -> Any:
  """Returns the type of a duration in epochs, of one in steps."""
  is_one = fields.describe(hint).startswith('an integer')
  return float if is_one else tuple[float, ...]
