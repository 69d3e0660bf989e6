"""How a trained encoder goes on learning from other pictures.

Rules of thumb, none of them measured as a whole: what they give is written into
the config of the run, and every number can be set. What they follow: few
pictures cannot replace what many have taught, so the fewer there are, the less
the encoder moves, and its first layers least. Layer-wise rates are those of
fine-tuning (BEiT, arXiv 2106.08254; MAE, arXiv 2111.06377), a frozen start that
of LP-FT (arXiv 2202.10054).
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

from jaxssl.build import Run
from jaxssl.config import Config, schema
from jaxssl.data import Paths
from jaxssl.defaults import Asked, default_config, num_steps
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.ops.schedules import highest
from jaxssl.scale import Facts
from jaxssl.train.state import num_parameters
from jaxssl.weights.exported import ExportedEncoder

# All parameters that start fresh: heads, and a text tower.
_FRESH = r'^(text/|(?!(.*/)?encoder/))'
# Keys of the encoder that say how it trains, not what it is.
_TRAINING = ('dtype', 'remat', 'drop_path', 'use_mask_token', 'bn_groups')
# Share of the run in which only what starts fresh learns.
_FREEZE_SHARE = 0.1
# A run from trained weights is shorter than one from random ones by this.
_SHORTER = 4


class _Size(NamedTuple):
  """What the number of pictures says.

  Attributes:
    below: so many pictures.
    words: how the number is called.
    rate: share of the usual learning rate that the encoder gets.
    layer_decay: d of `optim.layer_decay`.
  """

  below: float
  words: str
  rate: float
  layer_decay: float | None


_SIZES = (
  _Size(10_000, 'are few', 0.1, 0.75),
  _Size(1_000_000, 'are not many', 0.3, 0.9),
  _Size(float('inf'), 'are many', 1.0, None),
)


def method_for(model: ExportedEncoder) -> str:
  """Returns the method that suits the kind of an encoder.

  Self-distillation for what takes views of any size by tokens; the contrast of
  a batch, which lives with BatchNorm, for the others.

  Args:
    model: to adapt.

  Raises:
    UserError: for an encoder that no method can go on with.
  """
  name = model.section['name']
  if name == 'dvae':
    raise UserError(
      'the encoder of a discrete VAE is no use without its decoder; give a '
      'vision transformer, a ResNet or a ConvNeXt'
    )
  return 'dino' if 'vit' in name else 'simclr'


def config_of(
  names: tuple[str, str | None, Paths],
  asked: Asked,
  facts: Facts | None,
  model: ExportedEncoder,
  path: str,
) -> Config:
  """Returns the sections of a run that goes on with a trained encoder.

  Args:
    names: of method, encoder and data, as of `defaults.default_config`.
    asked: what wins over the defaults.
    facts: of data and device; None: of few pictures.
    model: to adapt.
    path: where it lies.
  """
  usual = default_config(*names, asked, facts)
  largest = min(usual['augment']['size'], model.image_size)
  asked = dataclasses.replace(asked, image_size=asked.image_size or largest)
  if not asked.length:
    epochs = usual['train']['epochs'] / _SHORTER
    asked = dataclasses.replace(asked, epochs=max(round(epochs, 2), 0.01))
  config = default_config(*names, asked, facts)
  rule, size = model.preprocessing, _size_of(facts.num_pictures if facts else 0)
  inputs: dict[str, Any] = {'mean': rule.mean, 'std': rule.std}
  own = facts.measured.bands if facts and facts.measured else None
  # Of other channels than the model has seen, the mean is measured.
  if METHODS[names[0]].needs_rgb or own != rule.bands:
    inputs = {}
  changes = {
    'encoder': _encoder(config['encoder'], model),
    'input': inputs,
    'optim': {
      **_optim(config['optim'], model, size),
      'freeze_steps': _frozen(config['train'], facts),
    },
    'train': {'init_encoder': path},
    'eval': {
      'crop_fraction': rule.crop_fraction,
      'resize': rule.resize,
      'interpolation': rule.interpolation,
      'guard': 'keep',
    },
  }
  return config | {
    section: {**config[section], **keys} for section, keys in changes.items()
  }


def reason(run: Run, model: ExportedEncoder) -> str:
  """Returns one line: what is done with the encoder, and why.

  Args:
    run: its objects.
    model: what it starts from.
  """
  count, optim = run.source.num_examples, run.config['optim']
  size = _size_of(count)
  millions = num_parameters(model.variables['params']) / 1e6
  decay = optim['layer_decay']
  falls = f', falling by {decay:g} a layer towards the pixels' if decay else ''
  rate = highest(run.learning_rate, run.num_steps)
  return (
    f'adapting {model.section["name"]} ({millions:.1f} M parameters) with '
    f'{run.config["method"]["name"]}: {count:,} pictures {size.words} beside '
    f'those that it has seen, so it learns at up to {rate:.2g}{falls}, after '
    f'{optim["freeze_steps"]} of {run.num_steps} steps in which only what '
    'starts fresh learns'
  )


def _size_of(count: int) -> _Size:
  return next(size for size in _SIZES if count < size.below)


def _frozen(train: Mapping[str, Any], facts: Facts | None) -> int:
  """Returns for how many steps the encoder is frozen; of few steps one."""
  if facts is None:
    return 1
  return max(round(_FREEZE_SHARE * num_steps(train, facts)), 1)


def _encoder(own: Mapping[str, Any], model: ExportedEncoder) -> dict[str, Any]:
  """Returns the section of the model, trained as the method wants it."""
  section = {
    **model.section,
    'use_mask_token': own.get('use_mask_token', False),
  }
  section |= {key: own[key] for key in _TRAINING if key in own}
  known = schema.keys('encoder', section['name'])
  section = {key: value for key, value in section.items() if key in known}
  has_table = section.get('position') in ('learned', 'relative')
  if has_table and section.get('grid') is None:
    # Its own positions stay; views of another size interpolate them.
    side = model.image_size // section['patch_size']
    section['grid'] = (side, side)
  return {'name': model.section['name'], **section}


def _optim(
  section: Mapping[str, Any], model: ExportedEncoder, size: _Size
) -> dict[str, Any]:
  """Returns the section with less for the encoder than for what is fresh."""
  rate = dict(section['learning_rate'])
  rate['start'] *= size.rate
  rules = tuple(section.get('rules', ()))
  if size.rate != 1:
    fresh = {'match': _FRESH, 'learning_rate': round(1 / size.rate, 6)}
    rules = (fresh, *rules)
  name = model.section['name']
  has_layers = any(kind in name for kind in ('vit', 'resnet', 'convnext'))
  decay = {'layer_decay': size.layer_decay if has_layers else None}
  return {**section, **decay, 'learning_rate': rate, 'rules': rules}
