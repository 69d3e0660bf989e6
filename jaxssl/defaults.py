"""Good defaults where the user names a method, an encoder and data only."""

from collections.abc import Mapping
from typing import Any

from jaxssl.config import Config
from jaxssl.data import hold_out
from jaxssl.data.sources import is_folder, pair_source
from jaxssl.errors import unknown
from jaxssl.methods import METHODS

# Pictures that are small to begin with: side in pixels.
_SMALL = {'photos': 32, 'digits': 32, 'cifar10': 32, 'cifar100': 32}
_LARGE = 224
_EPOCHS = 100
# The warm-up is this share of a run, but no longer than so many epochs.
_WARMUP_SHARE, _WARMUP_EPOCHS = 0.1, 10


def default_config(
  method: str, encoder: str, data: str, length: Mapping[str, Any] | None = None
) -> Config:
  """Returns the sections that differ from the constructors' defaults.

  AdamW with a warm-up serves small batches and every encoder; recipes with the
  published optimizers are in `configs/`. What a method wants is in its row of
  `METHODS`.

  Args:
    method: key of `METHODS`.
    encoder: name for `models.make_encoder`.
    data: name of a source, a TFDS name, or the path of a folder of pictures.
    length: `steps` or `epochs` of section `train`, which the warm-up follows;
      100 epochs by default.

  Raises:
    UserError: if the method is unknown.
  """
  if method not in METHODS:
    raise unknown('method', method, METHODS)
  row, length = METHODS[method], {'epochs': _EPOCHS, **(length or {})}
  small = _SMALL.get(data)
  size = small or _LARGE
  is_resnet = encoder.startswith('resnet')
  sections = {
    'method': {'name': method},
    'encoder': {'name': encoder},
    'augment': {'name': row.recipe, 'size': size},
    'head': {},
    'text_encoder': {},
    'data': data_section(data),
    'input': {'crop': 'device' if small else 'host', 'image_size': size},
    'optim': {
      'name': 'adamw',
      'learning_rate': {
        'name': 'cosine',
        'start': 1e-3 if is_resnet else 5e-4,
        **_warmup(length),
      },
      'weight_decay': 0.05,
      'exclude': 'ndim<=1',
    },
    'train': length,
  }
  for changes in (
    {'encoder': {'stem': 'cifar'} if is_resnet and small else {}},
    {'encoder': row.resnet if is_resnet else {}},
    {'encoder': row.vit if encoder.startswith('vit') else {}},
    row.defaults,
    row.small if small else {},
  ):
    for section, keys in changes.items():
      sections[section] = {**sections[section], **keys}
  return sections


def data_section(data: str) -> dict[str, Any]:
  """Returns the section `data` for a name or the path of a folder or file.

  Of a folder without subfolders for the splits, a share is held out.
  """
  if is_folder(data):
    share = hold_out.SHARE
    return {'name': 'folder', 'path': data, 'test_fraction': share}
  if pair_source(data):
    return {'name': pair_source(data), 'path': data}
  return {'name': data}


def _warmup(length: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the keys of a schedule whose warm-up fits into a run."""
  if 'steps' in length:
    return {'warmup_steps': int(_WARMUP_SHARE * length['steps'])}
  epochs = min(_WARMUP_EPOCHS, _WARMUP_SHARE * length['epochs'])
  return {'warmup_epochs': epochs}
