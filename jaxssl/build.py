"""From the sections of a complete config to the objects of a run.

`config.schema.complete` has filled in the defaults and checked names, types and
ranges; what is refused here does not fit together.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
import logging
from typing import Any, cast

from flax import linen as nn
import jax
import numpy as np
import optax

from jaxssl import data, models
from jaxssl.augment.any_channels import for_bands
from jaxssl.augment.bands import RGB, fields_of, num_channels
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.augment.recipes import RECIPES
from jaxssl.augment.view import Augment
from jaxssl.config import Config
from jaxssl.config.recomputation import recomputes
from jaxssl.config.schema import CONSTRUCTORS, HEADS, OF_ENCODER, OF_TOKENIZER
from jaxssl.config.sections import Eval, Input, Train
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.methods import METHODS, MoCo, Supervised, contrast
from jaxssl.methods.base import Batch, Contrastive, Method
from jaxssl.methods.codebook import Codebook
from jaxssl.methods.supervised import scale_by_sweep
from jaxssl.methods.teacher import Teacher
from jaxssl.ops.schedules import SCHEDULES, Schedule
from jaxssl.parallel.modes import Mode, make_mode
from jaxssl.text import Tokenizer, make_tokenizer
from jaxssl.train import optim
from jaxssl.train.learner import Learner
from jaxssl.weights.codebook import load_codebook
from jaxssl.weights.teacher import load_teacher

_log = logging.getLogger(__name__)


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
    tokenizer: tokenizer of its captions, for a method that takes text.
    num_steps: number of steps of the whole run.
    steps_per_epoch: may have a fraction.
    input: section `input`.
    train: section `train`.
    eval: section `eval`.
    seed: seed of the run.
  """

  config: Config
  encoder: nn.Module
  augment: Augment
  learner: Learner
  preprocessing: Preprocessing
  learning_rate: Schedule
  mode: Mode
  source: Source
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
    return self.augment.crops if self.input.crop == 'host' else ()

  def batch_shapes(self, rows: int) -> Batch:
    """Returns the shapes of a training batch, see `data.batch_shapes`."""
    return data.batch_shapes(
      rows,
      crops=self.host_crops,
      bands=self.augment.bands,
      image_size=self.input.image_size,
      text_length=self.tokenizer and self.tokenizer.length,
      captions=self.input.captions,
    )


def build(config: Config, source: Source | None = None) -> Run:
  """Builds all objects of a run.

  Args:
    config: from `config.schema.complete`.
    source: instead of that of section `data`.

  Raises:
    UserError: if a value is not possible (batch not divisible by the devices,
      a file that does not exist, ...).
  """
  train, evaluation = Train(**config['train']), Eval(**config['eval'])
  inputs = Input(**config['input'])
  source = build_source(config) if source is None else source
  mode = make_mode(
    train.mode,
    num_devices=train.num_devices,
    fsdp=train.fsdp,
    deterministic=train.deterministic,
    recomputes=recomputes(config),
  )
  _check_divides(train)
  steps_per_epoch = source.num_examples / train.batch_size
  length = _Length(_num_steps(train, steps_per_epoch), steps_per_epoch)
  encoder, tokenizer = build_encoder(config), build_tokenizer(config)
  if inputs.captions > 1 and tokenizer is None:
    raise UserError(
      f'method {config["method"]["name"]!r} takes no text; leave '
      'config.input.captions out'
    )
  method = _build_method(config, encoder, tokenizer, length.resolve)
  if type(method).loss is contrast.loss:
    contrast.check_rows(cast(Contrastive, method), train.batch_size)
  if isinstance(method, MoCo):
    method.check_batch(train.batch_size)
  learning_rate, tx = _build_optimizer(
    config['optim'], length, train.batch_size
  )
  # One classifier of the usual rate needs no factor.
  if isinstance(method, Supervised) and method.learning_rates != (1.0,):
    tx = optax.chain(tx, scale_by_sweep(method.learning_rates))
  augment = build_augment(config)
  _check_views(config['method']['name'], config['augment']['name'], augment)
  return Run(
    config=config,
    encoder=encoder,
    augment=augment,
    learner=Learner(
      method=method,
      augment=augment,
      tx=tx,
      micro_batches=train.micro_batches,
      freeze_steps=config['optim']['freeze_steps'],
    ),
    preprocessing=_build_preprocessing(
      evaluation, inputs, augment, has_text=tokenizer is not None
    ),
    learning_rate=learning_rate,
    mode=mode,
    source=source,
    tokenizer=tokenizer,
    num_steps=length.num_steps,
    steps_per_epoch=steps_per_epoch,
    input=inputs,
    train=train,
    eval=evaluation,
    seed=config['seed'],
  )


def _build_preprocessing(
  evaluation: Eval, inputs: Input, augment: Augment, *, has_text: bool
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
    **fields_of(augment.bands),
  )


def build_encoder(config: Config) -> nn.Module:
  """Builds the section `encoder`."""
  return models.make_encoder(**config['encoder'])


def build_method(config: Config) -> Method:
  """Builds the method to run its towers, without data.

  A schedule is the number that it starts from: another would need the length of
  a run, and is for training.
  """
  encoder, tokenizer = build_encoder(config), build_tokenizer(config)
  return _build_method(config, encoder, tokenizer, _at_the_start)


def _at_the_start(value: Any) -> Any:
  """Returns what the section of a schedule starts from; other values stay."""
  return value['start'] if _is_schedule(value) else value


def _is_schedule(value: Any) -> bool:
  """Whether a value of a config is the section of a schedule."""
  return isinstance(value, Mapping) and 'name' in value


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
  for key in OF_ENCODER:
    if section.get(key) is None:
      section.pop(key, None)
      section |= {key: followed[key]} if key in followed else {}
  for key, attribute in OF_TOKENIZER.items():
    if section.get(key) is None and tokenizer is not None:
      section[key] = getattr(tokenizer, attribute)
  for key in ('vocab_size', 'length'):
    if tokenizer is not None and section[key] < getattr(tokenizer, key):
      raise UserError(
        f'config.text_encoder.{key} is {section[key]}, but the tokenizer has '
        f'{getattr(tokenizer, key)}; leave it out, or give the latter'
      )
  return models.make_text_encoder(**section)


def build_augment(config: Config) -> Augment:
  """Builds the section `augment`, with mean and deviation of `input`."""
  inputs = Input(**config['input'])
  return for_bands(
    _construct(RECIPES, config['augment']),
    inputs.bands,
    mean=inputs.mean,
    std=inputs.std,
  )


def build_tokenizer(config: Config) -> Tokenizer | None:
  """Builds the section `text`, where there is one."""
  return make_tokenizer(**config['text']) if config.get('text') else None


def build_source(config: Config) -> Source:
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


@dataclasses.dataclass(frozen=True)
class _Length:
  """How long a run is, in both units.

  Attributes:
    num_steps: optimizer steps of the whole run.
    steps_per_epoch: optimizer steps per pass over the data, with a fraction.
  """

  num_steps: int
  steps_per_epoch: float

  def resolve(self, value: Any) -> Any:
    """Turns the section of a schedule into a schedule; other values stay.

    Raises:
      UserError: if the schedule does not take these values.
    """
    if not _is_schedule(value):
      return value
    arguments = dict(value)
    constructor = SCHEDULES[arguments.pop('name')]
    arguments = self.in_steps(arguments)
    known = {
      'num_steps': self.num_steps,
      'steps_per_epoch': max(self.steps_per_epoch, 1),
    }
    parameters = inspect.signature(constructor).parameters
    arguments |= {k: v for k, v in known.items() if k in parameters}
    warmup = arguments.get('warmup_steps', 0)
    if isinstance(warmup, int) and warmup >= self.num_steps:
      arguments['warmup_steps'] = self._shorter(value['name'], warmup)
    try:
      return constructor(**arguments)
    except (TypeError, ValueError) as error:
      raise UserError(f'schedule {value["name"]!r}: {error}') from error

  def _shorter(self, schedule: str, warmup: int) -> int:
    """Returns a warm-up that fits: a tenth of the run."""
    steps = self.num_steps // 10
    _log.warning(
      'schedule %r: a warm-up of %d steps does not fit into a run of %d; it is '
      '%d steps long',
      schedule,
      warmup,
      self.num_steps,
      steps,
    )
    return steps

  def in_steps(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces `x_epochs` by `x_steps`, which wins; None means not given."""
    given = {k: value for k, value in arguments.items() if value is not None}
    result = {}
    for key, value in given.items():
      if not key.endswith('_epochs'):
        result[key] = value
        continue
      steps_key = key.removesuffix('_epochs') + '_steps'
      steps = np.round(np.asarray(value) * self.steps_per_epoch).astype(int)
      result[steps_key] = given.get(steps_key, steps.tolist())
    return result


def _build_method(
  config: Config,
  encoder: nn.Module,
  tokenizer: Tokenizer | None,
  resolve: Callable[[Any], Any],
) -> Method:
  section = dict(config['method'])
  constructor = CONSTRUCTORS[section.pop('name')]
  modules: dict[str, Any] = {'encoder': encoder}
  # Published pairs have no section for it.
  bands = Input(**config.get('input', {})).bands
  _check_channels(config, num_channels(bands))
  if 'channels' in inspect.signature(constructor).parameters:
    modules['channels'] = num_channels(bands)
  if config['head']:
    modules['head'] = _construct(HEADS, config['head'])
  if config['text_encoder']:
    modules['text_encoder'] = build_text_encoder(config, tokenizer)
  if 'tokenizer' in section:
    modules['tokenizer'] = load_codebook(section.pop('tokenizer'))
    _check_frozen('tokenizer', modules['tokenizer'], num_channels(bands))
  if 'teacher' in section:
    modules['teacher'] = load_teacher(section.pop('teacher'))
    _check_frozen('teacher', modules['teacher'], num_channels(bands))
  return constructor(
    **modules, **{key: resolve(value) for key, value in section.items()}
  )


def _check_channels(config: Config, count: int) -> None:
  name = config['method']['name']
  if METHODS[name].only_rgb and count != RGB:
    raise UserError(
      f'method {name!r} learns from the colours of RGB pictures; these have '
      f'{count} channels'
    )


def _check_views(method: str, recipe: str, augment: Augment) -> None:
  """Refuses a recipe whose views a method would take for something else."""
  row = METHODS[method]
  sizes = [view.size or view.crop.size for view in augment.views]
  other = f'config.augment.name={recipe!r}'
  right = f'{row.recipe!r} makes those that it learns from'
  if row.pair and (len(sizes) != 2 or sizes[0] != sizes[1]):
    raise UserError(
      f'method {method!r} compares two views of one size, and {other} makes '
      f'{len(sizes)} of {_listed(sizes)} pixels; {right}'
    )
  if len(sizes) < row.num_views:
    raise UserError(
      f'method {method!r} needs {row.num_views} views of a picture, and '
      f'{other} makes {len(sizes)}; {right}'
    )
  plain = {*augment.mean} == {0.0} and {*augment.std} == {1.0}
  if row.needs_rgb and not plain:
    raise UserError(
      f'method {method!r} learns from values of 0 to 1, and {other} '
      f'normalises them, by mean {augment.mean} and deviation {augment.std}; '
      f'leave input.mean and input.std out, {right}'
    )


def _listed(sizes: Sequence[int]) -> str:
  return ', '.join(str(size) for size in dict.fromkeys(sizes))


def _check_frozen(key: str, network: Codebook | Teacher, count: int) -> None:
  own = len(network.mean)
  if own != count:
    raise UserError(
      f'config.method.{key} takes pictures of {own} channels, and these have '
      f'{count}; train one on them'
      + (' with method dvae' if isinstance(network, Codebook) else '')
    )


def _build_optimizer(
  section: Config, length: _Length, batch_size: int
) -> tuple[Schedule, optax.GradientTransformation]:
  section = dict(section)
  factor = {
    'none': 1.0,
    'linear': batch_size / 256,
    'sqrt': batch_size**0.5,
  }[section.pop('lr_scaling')]
  rate: Any = section.pop('learning_rate')
  if not isinstance(rate, Mapping):
    rate = {'name': 'constant', 'start': rate}
  # Not `end`: published minimal rates are absolute.
  learning_rate = length.resolve({**rate, 'start': rate['start'] * factor})
  rules = [length.in_steps(rule) for rule in section.pop('rules')]
  rest = {key: length.resolve(value) for key, value in section.items()}
  tx = optim.make_optimizer(learning_rate=learning_rate, rules=rules, **rest)
  return learning_rate, tx


def _construct(table: Mapping[str, Callable[..., Any]], values: Config) -> Any:
  arguments = dict(values)
  return table[arguments.pop('name')](**arguments)


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
