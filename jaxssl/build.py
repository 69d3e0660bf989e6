"""The only reader of configs: from sections of a config to objects.

A section is the keyword arguments of one constructor; `name`, where a section
has one, chooses the constructor from a table. `complete` fills in the defaults
of the constructors, so that a resolved config shows every number of a run.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import inspect
from types import UnionType
import typing
from typing import Any

from flax import linen as nn
import jax
import numpy as np

from jaxssl import data, models
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.augment.recipes import RECIPES
from jaxssl.config import Config, same_type, to_plain
from jaxssl.errors import UserError, unknown
from jaxssl.methods import METHODS
from jaxssl.methods.base import Batch, Method
from jaxssl.ops.schedules import SCHEDULES, Schedule
from jaxssl.parallel.modes import Mode, make_mode
from jaxssl.text import Tokenizer, make_tokenizer
from jaxssl.train import optim
from jaxssl.train.learner import Learner

HEADS = {name: row.head for name, row in METHODS.items() if row.head}
CONSTRUCTORS = {name: row.make for name, row in METHODS.items()}
# Sizes of a text encoder that follow from the tokenizer where they are None.
_OF_TOKENIZER = {
  'vocab_size': 'vocab_size',
  'length': 'length',
  'eot_id': 'end_id',
}
# Keys of a text encoder that follow the image encoder where they are None.
_OF_ENCODER = ('dtype', 'remat')
LR_SCALINGS = ('none', 'linear', 'sqrt')
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
  """Section `input`: how records become batches.

  Attributes:
    crop: `'device'` sends whole pictures of one size to the accelerator and
      crops there; `'host'` crops first and sends the crops (big pictures).
    image_size: side of the pictures with `crop='device'`, and of evaluation
      unless section `eval` says another.
    strict: an unreadable record ends the run instead of being replaced.
    num_threads: of the host; its number of cores by default.
    prefetch: batches made ahead.
  """

  crop: str = 'device'
  image_size: int = 32
  strict: bool = False
  num_threads: int | None = None
  prefetch: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
  """Section `train`: how long, how much at a time, how often what.

  Attributes:
    steps: optimizer steps; wins over `epochs`.
    epochs: passes over the data.
    batch_size: images in the global batch, over all devices and hosts.
    micro_batches: parts that the batch goes through the networks in, where it
      does not fit into memory; the gradient stays that of the whole batch. A
      step of a contrastive method takes about a third longer. Refused where
      the rows of a batch meet on the way (BatchNorm; MoCo).
    mode: `'jit'` or `'pmap'`.
    num_devices: how many devices; all by default.
    fsdp: how many devices share one copy of the state (parameters, optimizer,
      method), each with a part of every large array: 1 for a whole state on
      each, None for one state in all; with mode `'jit'`.
    deterministic: have GPUs run every step with the same bits each time, so
      that a resumed run ends as one that was not stopped; slower, with mode
      `'jit'`. CPUs and TPUs always do.
    log_steps: metrics are written every so many steps.
    checkpoint_steps: the state is saved every so many steps.
    init_encoder: folder of an exported encoder (`export/` of a workdir) that
      the encoder starts from, for methods that can (clip, siglip, supervised).
    init_text_encoder: folder of an exported image-text run, whose text tower
      the run starts from (clip, siglip).
    keep: how many of the newest checkpoints are kept.
    keep_every: besides, keep steps that this divides.
    tensorboard: whether to write TensorBoard events.
  """

  steps: int | None = None
  epochs: float | None = None
  batch_size: int = 256
  micro_batches: int = 1
  mode: str = 'jit'
  num_devices: int | None = None
  fsdp: int | None = 1
  deterministic: bool = False
  log_steps: int = 50
  checkpoint_steps: int = 1000
  init_encoder: str | None = None
  init_text_encoder: str | None = None
  keep: int = 3
  keep_every: int | None = None
  tensorboard: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Eval:
  """Section `eval`: the look at the features during training.

  Attributes:
    steps: every so many steps, and at both ends; 0 switches it off.
    data: keys of section `data` that evaluation replaces, for bank and queries
      (for example smaller cut-outs than those that are trained on).
    image_size: side of the pictures; that of section `input` by default.
    split: split of the data that is classified.
    k: neighbours of the online kNN.
    limit: at most so many images of each split.
    batch_size: images a forward pass.
    crop_fraction: share of the resized shorter side that the centre crop
      keeps; by default 1 for a method with texts (as openai/CLIP and open_clip)
      and for pictures of at most 64 pixels, else 0.875.
    resize: `'shortest'` or `'squash'`, see `augment.preprocessing`.
    interpolation: Pillow's filter that resizes, for example `'bilinear'`.
  """

  steps: int = 1000
  data: dict | None = None
  image_size: int | None = None
  split: str = 'test'
  k: int = 20
  limit: int = 10000
  batch_size: int = 256
  crop_fraction: float | None = None
  resize: str = 'shortest'
  interpolation: str = 'bicubic'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """The objects of a run, built from its config.

  Attributes:
    config: the complete config.
    encoder: what evaluation sees.
    learner: what is trained, and how.
    preprocessing: how evaluation prepares pictures, during training and after.
    learning_rate: step -> value.
    mode: compile mode.
    source: what is trained on.
    tokenizer: of its captions, for a method that takes text.
    num_steps: of the whole run.
    steps_per_epoch: may have a fraction.
    input: section `input`.
    train: section `train`.
    eval: section `eval`.
    seed: of the run.
  """

  config: Config
  encoder: nn.Module
  learner: Learner
  preprocessing: Preprocessing
  learning_rate: Schedule
  mode: Mode
  source: Any
  tokenizer: Tokenizer | None
  num_steps: int
  steps_per_epoch: float
  input: Input
  train: Train
  eval: Eval
  seed: int

  @property
  def eval_image_size(self) -> int:
    """Side of the pictures that the encoder is evaluated on."""
    return self.preprocessing.image_size

  @property
  def host_crops(self) -> tuple[CropSpec, ...]:
    """The crops that the host makes; none where the accelerator does."""
    return self.learner.augment.crops if self.input.crop == 'host' else ()

  def batch_shapes(self, rows: int) -> Batch:
    """Returns the shapes of a training batch, see `data.batch_shapes`."""
    return data.batch_shapes(
      rows,
      crops=self.host_crops,
      image_size=self.input.image_size,
      text_length=self.tokenizer and self.tokenizer.length,
    )


def complete(config: Config) -> Config:
  """Fills in all defaults and checks all names.

  Args:
    config: sections with the values that differ from the defaults; `method`,
      `encoder` and `data` need a `name`. A list is as good as a tuple.

  Returns:
    A config in which every valid key exists.

  Raises:
    UserError: unknown section, key or name (with the closest one); a missing
      value.
  """
  config = {'seed': 0, **{s: {} for s in SECTIONS}, **to_plain(config)}
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
  config = {name: {} if v is None else v for name, v in config.items()}
  method = config['method'].get('name')
  config['head'] = config['head'] or _default_head(method)
  if _text_encoder(method) and not config['text_encoder'].get('name'):
    name = {'name': _text_encoder(method)}
    config['text_encoder'] = {**config['text_encoder'], **name}
  return {'seed': config['seed']} | {
    section: _complete_section(section, config[section])
    if _is_used(section, config)
    else {}
    for section in SECTIONS
  }


def build(config: Config, source: Any = None) -> Run:
  """Builds all objects of a run.

  Args:
    config: from `complete`.
    source: instead of that of section `data`.

  Raises:
    UserError: if a value is not possible (batch not divisible by the devices,
      a file that does not exist, ...).
  """
  train, evaluation = Train(**config['train']), Eval(**config['eval'])
  inputs = Input(**config['input'])
  _check_numbers(train, evaluation, inputs)
  source = source or build_source(config)
  mode = make_mode(
    train.mode,
    num_devices=train.num_devices,
    fsdp=train.fsdp,
    deterministic=train.deterministic,
  )
  _check_divides(train)
  steps_per_epoch = source.num_examples / train.batch_size
  num_steps = _num_steps(train, steps_per_epoch)
  resolve = functools.partial(
    _resolve, num_steps=num_steps, steps_per_epoch=steps_per_epoch
  )
  encoder, tokenizer = build_encoder(config), build_tokenizer(config)
  method = _build_method(config, encoder, tokenizer, resolve)
  learning_rate, tx = _build_optimizer(
    config['optim'], resolve, train.batch_size
  )
  augment = build_augment(config)
  return Run(
    config=config,
    encoder=encoder,
    learner=Learner(
      method=method,
      augment=augment,
      tx=tx,
      micro_batches=train.micro_batches,
    ),
    preprocessing=_build_preprocessing(
      evaluation, inputs, augment, has_text=tokenizer is not None
    ),
    learning_rate=learning_rate,
    mode=mode,
    source=source,
    tokenizer=tokenizer,
    num_steps=num_steps,
    steps_per_epoch=steps_per_epoch,
    input=inputs,
    train=train,
    eval=evaluation,
    seed=config['seed'],
  )


def _build_preprocessing(
  evaluation: Eval, inputs: Input, augment: Any, *, has_text: bool
) -> Preprocessing:
  crop_fraction = evaluation.crop_fraction
  if crop_fraction is None and has_text:
    crop_fraction = 1.0
  return usual(
    evaluation.image_size or inputs.image_size,
    crop_fraction=crop_fraction,
    resize=evaluation.resize,
    interpolation=evaluation.interpolation,
    mean=augment.mean,
    std=augment.std,
  )


def build_encoder(config: Config) -> nn.Module:
  """Builds the section `encoder`."""
  return models.make_encoder(**config['encoder'])


def build_method(config: Config) -> Method:
  """Builds the method to run its towers, without data.

  Schedules stay sections: they need the length of a run, and training.
  """
  encoder, tokenizer = build_encoder(config), build_tokenizer(config)
  return _build_method(config, encoder, tokenizer, lambda value: value)


def build_text_encoder(
  config: Config, tokenizer: Tokenizer | None
) -> nn.Module | None:
  """Builds the section `text_encoder`, where there is one.

  Args:
    config: complete, or at least that section of one; `dtype` and `remat` of
      None are those of section `encoder`.
    tokenizer: gives vocabulary, length and end of text where the section has
      None; not needed if it has all three.

  Raises:
    UserError: if the tokenizer's texts do not fit.
  """
  section = dict(config.get('text_encoder') or {})
  if not section:
    return None
  followed = config.get('encoder') or {}
  for key in _OF_ENCODER:
    if section.get(key) is None:
      section.pop(key, None)
      section |= {key: followed[key]} if key in followed else {}
  for key, attribute in _OF_TOKENIZER.items():
    if section.get(key) is None and tokenizer is not None:
      section[key] = getattr(tokenizer, attribute)
  for key in ('vocab_size', 'length'):
    if tokenizer is not None and section[key] < getattr(tokenizer, key):
      raise UserError(
        f'config.text_encoder.{key} is {section[key]}, but the tokenizer has '
        f'{getattr(tokenizer, key)}; leave it out, or give the latter'
      )
  return models.make_text_encoder(**section)


def build_augment(config: Config) -> Any:
  """Builds the section `augment`."""
  return _construct('augment', RECIPES, config['augment'])


def build_tokenizer(config: Config) -> Tokenizer | None:
  """Builds the section `text`, where there is one."""
  return make_tokenizer(**config['text']) if config.get('text') else None


def build_source(config: Config) -> Any:
  """Builds the section `data`."""
  return data.make_source(**config['data'])


def eval_data_section(config: Config) -> Config:
  """Returns the section `data` as evaluation sees it."""
  return {**config['data'], **(config['eval']['data'] or {})}


def build_eval_source(config: Config, *, split: str | None = None) -> Any:
  """Builds a split of what `eval_data_section` says; its own by default."""
  section = eval_data_section(config)
  if split is not None:
    section['split'] = split
  return data.make_source(**section)


def accepted(section: str, name: str | None = None) -> dict[str, Any]:
  """Returns the keys that a section accepts, with their defaults.

  Args:
    section: one of `SECTIONS`.
    name: what the section's `name` is, where it has one.

  Returns:
    key -> default; `inspect.Parameter.empty` where a value must be given.

  Raises:
    UserError: if the name is unknown.
  """
  if section in ('input', 'train', 'eval'):
    return _parameters({'input': Input, 'train': Train, 'eval': Eval}[section])
  if section == 'encoder':
    return _module_fields(models.make_encoder(name))
  if section == 'text_encoder':
    fields = _module_fields(models.make_text_encoder(name))
    return fields | dict.fromkeys((*_OF_TOKENIZER, *_OF_ENCODER))
  if section == 'text':
    return _parameters(make_tokenizer)
  if section == 'data':
    keys = _parameters(data.SOURCES.get(name, data.Tfds))
    return {key: value for key, value in keys.items() if key != 'name'}
  if section == 'optim':
    if name not in optim.OPTIMIZERS:
      raise unknown('optimizer', name, optim.OPTIMIZERS)
    keys = _keyword_only(optim.make_optimizer)
    del keys['name']
    return (
      keys | _keyword_only(optim.OPTIMIZERS[name]) | {'lr_scaling': 'linear'}
    )
  table = {'head': HEADS, 'method': CONSTRUCTORS, 'augment': RECIPES}[section]
  if name not in table:
    raise unknown(section, name, table)
  keys = _parameters(table[name])
  modules = ('encoder', 'text_encoder', 'head')
  return {k: v for k, v in keys.items() if k not in modules}


def choices(section: str, name: str) -> dict[str, tuple[Any, ...]]:
  """Returns the possible values of those keys that list them.

  Encoders share names of keys whose values differ (`stem`).
  """
  if section != 'encoder':
    return {}
  hints = typing.get_type_hints(type(models.make_encoder(name)))
  return {
    key: typing.get_args(hint)
    for key, hint in hints.items()
    if typing.get_origin(hint) is typing.Literal
  }


def schedule_keys(name: str) -> dict[str, Any]:
  """Returns the keys of a schedule beside `name`, with their defaults.

  Raises:
    UserError: if the name is unknown.
  """
  if name not in SCHEDULES:
    raise unknown('schedule', name, SCHEDULES)
  keys = {}
  for key, default in _parameters(SCHEDULES[name]).items():
    if key in ('num_steps', 'steps_per_epoch'):
      continue  # known from the run
    if key.endswith('_steps'):
      keys |= {key: None, key.removesuffix('_steps') + '_epochs': None}
    else:
      keys[key] = default
  return keys


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


def _complete_section(section: str, values: Mapping[str, Any]) -> Config:
  named = section not in ('text', 'input', 'train', 'eval')
  if named and not values.get('name'):
    raise UserError(f'config.{section}.name is missing')
  keys = accepted(section, values.get('name'))
  result = {'name': values['name']} if named else {}
  for key in values:
    if key != 'name' and key not in keys:
      raise unknown(f'key of config.{section}', key, keys)
  for key, default in keys.items():
    value = values.get(key, default)
    if not (isinstance(value, Mapping) or default is inspect.Parameter.empty):
      value = same_type(f'{section}.{key}', value, default)
    if value is inspect.Parameter.empty:
      raise UserError(
        f'config.{section}.{key} is missing ({section} {values.get("name")!r} '
        'needs it)'
      )
    is_schedule = isinstance(value, Mapping) and 'name' in value
    result[key] = _complete_schedule(value) if is_schedule else value
  return result


def _complete_schedule(values: Mapping[str, Any]) -> Config:
  name = values['name']
  keys = {'name': name} | schedule_keys(name)
  for key in values:
    if key not in keys:
      raise unknown(f'key of schedule {name!r}', key, keys)
  result = keys | dict(values)
  for key, value in result.items():
    if value is inspect.Parameter.empty:
      raise UserError(f'schedule {name!r} needs {key!r}')
  return result


def _resolve(value: Any, *, num_steps: int, steps_per_epoch: float) -> Any:
  """Turns sections of schedules into schedules, and epochs into steps."""
  if not (isinstance(value, Mapping) and 'name' in value):
    return value
  arguments = dict(value)
  constructor = SCHEDULES[arguments.pop('name')]
  arguments = _epochs_to_steps(arguments, steps_per_epoch)
  known = {
    'num_steps': num_steps,
    'steps_per_epoch': max(round(steps_per_epoch), 1),
  }
  parameters = _parameters(constructor)
  arguments |= {k: v for k, v in known.items() if k in parameters}
  _check_warmup(value['name'], arguments.get('warmup_steps', 0), num_steps)
  try:
    return constructor(**arguments)
  except (TypeError, ValueError) as error:
    raise UserError(f'schedule {value["name"]!r}: {error}') from error


def _check_warmup(schedule: str, warmup: Any, num_steps: int) -> None:
  if isinstance(warmup, int) and warmup >= num_steps:
    raise UserError(
      f'schedule {schedule!r}: a warm-up of {warmup} steps does not fit into '
      f'a run of {num_steps}; train longer, or set its warmup_epochs or '
      'warmup_steps (--config.optim.learning_rate.warmup_epochs=0: none)'
    )


def _epochs_to_steps(
  arguments: Mapping[str, Any], steps_per_epoch: float
) -> dict[str, Any]:
  """Replaces `x_epochs` by `x_steps`, which wins; None means not given."""
  given = {key: value for key, value in arguments.items() if value is not None}
  result = {}
  for key, value in given.items():
    if not key.endswith('_epochs'):
      result[key] = value
      continue
    steps_key = key.removesuffix('_epochs') + '_steps'
    steps = np.round(np.asarray(value) * steps_per_epoch).astype(int)
    result[steps_key] = given.get(steps_key, steps.tolist())
  return result


def _build_method(config, encoder, tokenizer, resolve) -> Method:
  section = dict(config['method'])
  constructor = CONSTRUCTORS[section.pop('name')]
  modules = {'encoder': encoder}
  if config['head']:
    modules['head'] = _construct('head', HEADS, config['head'])
  if config['text_encoder']:
    modules['text_encoder'] = build_text_encoder(config, tokenizer)
  return constructor(
    **modules, **{key: resolve(value) for key, value in section.items()}
  )


def _build_optimizer(section, resolve, batch_size):
  section = dict(section)
  scaling = section.pop('lr_scaling')
  if scaling not in LR_SCALINGS:
    raise unknown('optim.lr_scaling', scaling, LR_SCALINGS)
  factor = {
    'none': 1.0,
    'linear': batch_size / 256,
    'sqrt': batch_size**0.5,
  }[scaling]
  rate = section.pop('learning_rate')
  if not isinstance(rate, Mapping):
    rate = {'name': 'constant', 'start': rate}
  # Not `end`: published minimal rates are absolute.
  learning_rate = resolve({**rate, 'start': rate['start'] * factor})
  rules = [
    _epochs_to_steps(rule, resolve.keywords['steps_per_epoch'])
    for rule in section.pop('rules')
  ]
  rest = {key: resolve(value) for key, value in section.items()}
  tx = optim.make_optimizer(learning_rate=learning_rate, rules=rules, **rest)
  return learning_rate, tx


def _default_head(method: str | None) -> Config:
  return {'name': method} if method in HEADS else {}


def _construct(section: str, table: Mapping[str, Callable], values: Config):
  arguments = dict(values)
  name = arguments.pop('name')
  if name not in table:
    raise unknown(section, name, table)
  return table[name](**arguments)


def _parameters(constructor: Callable[..., Any]) -> dict[str, Any]:
  """Returns the arguments that a config can give, with their defaults."""
  return {
    name: parameter.default
    for name, parameter in inspect.signature(constructor).parameters.items()
    if parameter.kind
    in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    and name != 'parent'
    and _is_plain(parameter.default)
  }


def _keyword_only(constructor: Callable[..., Any]) -> dict[str, Any]:
  kinds = inspect.signature(constructor).parameters
  return {
    name: default
    for name, default in _parameters(constructor).items()
    if kinds[name].kind is inspect.Parameter.KEYWORD_ONLY
  }


def _is_plain(value: Any) -> bool:
  """Whether a default can stand in a config (not a function or a module)."""
  if value is inspect.Parameter.empty or value is None:
    return True
  if isinstance(value, (tuple, list)):
    return all(_is_plain(item) for item in value)
  return isinstance(value, (bool, int, float, str, Mapping))


def _module_fields(module: nn.Module) -> dict[str, Any]:
  fields = {
    field.name: getattr(module, field.name)
    for field in dataclasses.fields(module)
    if field.name not in ('parent', 'name')
  }
  fields['dtype'] = np.dtype(fields['dtype']).name
  return {key: value for key, value in fields.items() if _is_plain(value)}


def _num_steps(train: Train, steps_per_epoch: float) -> int:
  if train.steps is not None:
    return train.steps
  if train.epochs is None:
    raise UserError('set config.train.steps or config.train.epochs')
  return max(round(train.epochs * steps_per_epoch), 1)


def _check_divides(train: Train) -> None:
  batch_size = train.batch_size
  devices = train.num_devices or jax.device_count()
  parts = train.micro_batches
  if parts > 1 and batch_size % (devices * parts):
    raise UserError(
      f'batch of {batch_size} does not divide into {parts} micro-batches on '
      f'{devices} devices'
    )
  if batch_size % devices:
    down = batch_size // devices * devices
    raise UserError(
      f'batch of {batch_size} does not divide over {devices} devices; use '
      f'{down or devices} or {down + devices}, or --config.train.num_devices'
    )


def _check_type(section: Any, key: str, value: Any, wanted: Any) -> None:
  declared = typing.get_args(wanted) if type(wanted) is UnionType else (wanted,)
  kinds = {typing.get_origin(kind) or kind for kind in declared}
  if float in kinds:
    kinds.add(int)
  # A bool is an int in Python, but not a count.
  is_flag = type(value) is bool and bool not in kinds
  if is_flag or not isinstance(value, tuple(kinds)):
    names = ' or '.join(sorted(k.__name__ for k in kinds - {type(None)}))
    raise UserError(
      f'config.{type(section).__name__.lower()}.{key} takes {names}, got '
      f'{value!r}'
    )


def _check_numbers(*sections: Any) -> None:
  """Types are as declared, counts positive; `eval.steps` may be 0."""
  for section in sections:
    for field in dataclasses.fields(section):
      value = getattr(section, field.name)
      _check_type(section, field.name, value, field.type)
      if isinstance(value, bool) or not isinstance(value, (int, float)):
        continue
      key = f'{type(section).__name__.lower()}.{field.name}'
      lowest = 0 if key in ('eval.steps', 'input.prefetch') else 1e-9
      if value < lowest or not np.isfinite(value):
        raise UserError(f'config.{key} is {value}; it must be positive')
  crop = sections[-1].crop
  if crop not in ('device', 'host'):
    raise unknown('config.input.crop', crop, ('device', 'host'))
