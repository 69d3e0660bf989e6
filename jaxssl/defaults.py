"""Good defaults where the user names a method, an encoder and data only."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from jaxssl import models, scale
from jaxssl.augment.bands import fields_of
from jaxssl.config import Config, schema
from jaxssl.data import Paths, hold_out, resizers
from jaxssl.data.chosen import several
from jaxssl.data.sources import file_kind
from jaxssl.errors import unknown
from jaxssl.methods import METHODS
from jaxssl.methods.entry import Entry, Sections
from jaxssl.scale import Facts

# Pictures that are small to begin with.
_SMALL = (
  *('photos', 'digits', 'shapes', 'collages', 'motorcycle'),
  *('cifar10', 'cifar100'),
)
_SMALL_SIDE, _MOST_SMALL = 32, 40
_LARGE = 224
_EPOCHS, _BATCH = 100, 256
# The warm-up is this share of a run, but, where pictures are many, no longer
# than so many epochs.
_WARMUP_SHARE, _WARMUP_EPOCHS = 0.1, 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
  """What the user says of a run beside method, encoder and data.

  Attributes:
    steps: optimizer steps; wins over `epochs`.
    epochs: passes over the data.
    batch_size: pictures per step.
    image_size: side of the views.
  """

  steps: int | None = None
  epochs: float | None = None
  batch_size: int | None = None
  image_size: int | None = None

  @property
  def length(self) -> dict[str, Any]:
    """Steps and epochs, as far as they are given."""
    both = {'steps': self.steps, 'epochs': self.epochs}
    return {key: value for key, value in both.items() if value is not None}


def default_config(
  method: str,
  encoder: str | None,
  data: Paths,
  asked: Asked = Asked(),
  facts: Facts | None = None,
) -> Config:
  """Returns the sections that differ from the constructors' defaults.

  AdamW with a warm-up serves small batches and every encoder; recipes with the
  published optimizers are in `configs/`. What a method wants is in its row of
  `METHODS`; what data and device want is in `scale`.

  Args:
    method: key of `METHODS`.
    encoder: name for `models.make_encoder`; None for that of the method.
    data: name of a source, a TFDS name, or paths of folders or files.
    asked: what wins over the defaults.
    facts: what is known of data and device; without it 100 epochs of batches of
      256, and of pictures of 224 pixels where their name does not say that they
      are small.

  Raises:
    UserError: if the method is unknown.
  """
  if method not in METHODS:
    raise unknown('method', method, METHODS)
  row = METHODS[method]
  is_small = data in _SMALL or bool(facts and 0 < facts.side <= _MOST_SMALL)
  encoder = encoder or _encoder(row, facts, is_small=is_small)
  size = asked.image_size or _size(row, encoder, facts, is_small=is_small)
  batch = asked.batch_size or (facts and scale.batch_size(facts)) or _BATCH
  length = asked.length or _length(facts, size)
  is_resnet = encoder.startswith('resnet')
  is_vit = encoder.startswith('vit')
  is_convnext = encoder.startswith('convnext')
  sections = {
    'method': {'name': method},
    'encoder': {'name': encoder},
    'augment': {'name': row.recipe, 'size': size},
    'head': {},
    'text_encoder': {},
    'data': data_section(data),
    'input': {
      'crop': 'device' if data in _SMALL else 'host',
      'image_size': size,
      **(_channels(row, facts) if facts else {}),
    },
    'optim': _optim(
      row, length, batch, facts, is_vit=is_vit, is_resnet=is_resnet
    ),
    'train': {**length, 'batch_size': batch},
    'eval': {},
  }
  if facts and sections['input']['crop'] == 'host' and not facts.measured:
    # Of the machine, as the batch is; kept in the config of the run.
    sections['input']['resizer'] = resizers.fastest()
  few = facts is not None and facts.num_pictures < scale.FEW
  for changes in (
    {'encoder': {'stem': 'cifar'} if is_resnet and is_small else {}},
    {'encoder': {'stem_size': 1} if is_convnext and is_small else {}},
    {'encoder': row.resnet if is_resnet else {}},
    {'encoder': row.vit if is_vit else {}},
    row.defaults,
    row.few if few else {},
    row.small if is_small else {},
    _scaled(sections, row, facts) if facts else {},
  ):
    _merge(sections, changes)
  if facts:
    _merge(sections, _followers(sections, row, facts))
  return sections


def _channels(row: Entry, facts: Facts) -> dict[str, Any]:
  """Returns how pictures are read that are not 8-bit RGB."""
  found = facts.measured
  if found is None:
    return {}
  normal = {} if row.needs_rgb else {'mean': found.mean, 'std': found.std}
  return {**fields_of(found.bands), **normal}


def data_section(data: Paths) -> dict[str, Any]:
  """Returns the section `data` for a name, or paths of folders or files.

  Of files without splits of their own, a share is held out.
  """
  names = several(data)
  kind = file_kind(names)
  if kind is None:
    return {'name': names[0]}
  path = names[0] if len(names) == 1 else names
  return {'name': kind, 'path': path, 'test_fraction': hold_out.SHARE}


def _merge(sections: Config, changes: Sections) -> None:
  for section, keys in changes.items():
    sections[section] = {**sections[section], **keys}


def _encoder(row: Entry, facts: Facts | None, *, is_small: bool) -> str:
  """Returns the encoder of a method, smaller for small pictures and CPUs."""
  if not row.encoder.startswith('vit'):
    return row.encoder
  if is_small:
    return 'vit_ti4'
  return row.encoder if facts is None or facts.on_accelerator else 'vit_ti16'


def _size(
  row: Entry, encoder: str, facts: Facts | None, *, is_small: bool
) -> int:
  if is_small:
    return _SMALL_SIDE
  if facts is None or not row.any_size:
    return _LARGE
  return scale.image_size(facts, _patch(encoder))


def _patch(encoder: str) -> int:
  """Returns the side that divides the pictures of an encoder."""
  return getattr(models.make_encoder(encoder), 'patch_size', 32)


def _length(facts: Facts | None, size: int) -> dict[str, Any]:
  if facts is None:
    return {'epochs': _EPOCHS}
  return {'epochs': scale.epochs(facts, size=size)}


def _optim(
  row: Entry,
  length: Mapping[str, Any],
  batch: int,
  facts: Facts | None,
  *,
  is_vit: bool,
  is_resnet: bool,
) -> dict[str, Any]:
  """Returns the section `optim`: the common one, and what the method wants."""
  own = {**row.optim, **(row.vit_optim if is_vit else {})}
  rate = {
    'name': 'cosine',
    'start': 1e-3 if is_resnet else 5e-4,
    **_warmup(length, facts),
  }
  return {
    'name': 'adamw',
    'weight_decay': 0.05,
    'exclude': 'ndim<=1',
    # Rates are those of batch 256, and a smaller batch needs no smaller one.
    'lr_scaling': 'linear' if batch >= _BATCH else 'none',
    **own,
    'learning_rate': {**rate, **own.get('learning_rate', {})},
  }


def _scaled(sections: Config, row: Entry, facts: Facts) -> Sections:
  """Returns what follows from data and device in sections of their own."""
  size, batch = sections['augment']['size'], sections['train']['batch_size']
  changes = scale.intervals(
    facts, num_steps(sections['train'], facts), size=size
  )
  name = sections['encoder']['name']
  if facts.on_accelerator and 'dtype' in schema.keys('encoder', name):
    changes['encoder'] = {'dtype': 'bfloat16'}
  if batch < facts.num_devices:
    changes['train'] |= {'num_devices': batch}
  if 'local_size' in schema.keys('augment', row.recipe) and size > _SMALL_SIDE:
    changes['augment'] = _local_views(size, _patch(name), facts)
  return changes


def _local_views(size: int, patch: int, facts: Facts) -> dict[str, int]:
  """Returns DINO's local views: 96 pixels of 224, and few on a CPU."""
  local = max(size * 96 // 224 // patch, 1) * patch
  return {'local_size': local} | (
    {} if facts.on_accelerator else {'num_local': 2}
  )


def _followers(sections: Config, row: Entry, facts: Facts) -> Sections:
  """Returns keys of the method that follow the run, the data or the encoder."""
  method = sections['method']
  name, train = method['name'], sections['train']
  known = schema.defaults('method', name)
  values = {**known, **method}
  changes: dict[str, Any] = {}
  steps = num_steps(train, facts)
  if 'momentum' in known:
    slow = values['momentum']
    changes['momentum'] = (
      {**slow, 'start': scale.momentum(slow['start'], steps)}
      if isinstance(slow, Mapping)
      else scale.momentum(slow, steps)
    )
  if 'queue_size' in known:
    changes['queue_size'] = scale.queue_size(
      values['queue_size'], facts, train['batch_size']
    )
  if 'num_classes' in known and facts.num_classes:
    changes['num_classes'] = facts.num_classes
  if {'decoder_dim', 'decoder_heads', 'decoder_depth'} <= known.keys():
    width = getattr(models.make_encoder(**sections['encoder']), 'dim', None)
    changes |= scale.decoder(width) if width else {}
  return {'method': changes}


def num_steps(train: Mapping[str, Any], facts: Facts) -> int:
  """Returns the optimizer steps of a section `train`."""
  if 'steps' in train:
    return train['steps']
  per_epoch = facts.num_pictures / train['batch_size']
  return max(round(train['epochs'] * per_epoch), 1)


def _warmup(length: Mapping[str, Any], facts: Facts | None) -> dict[str, Any]:
  """Returns the keys of a schedule whose warm-up is a share of the run."""
  if 'steps' in length:
    return {'warmup_steps': int(_WARMUP_SHARE * length['steps'])}
  epochs = _WARMUP_SHARE * length['epochs']
  if facts is None or facts.num_pictures >= scale.FEW:
    epochs = min(_WARMUP_EPOCHS, epochs)
  return {'warmup_epochs': epochs}
