"""Good defaults where the user names a method, an encoder and data only."""

from jaxssl.config import Config
from jaxssl.data.sources import is_folder, pair_source

# Pictures that are small to begin with: side in pixels.
_SMALL = {'photos': 32, 'digits': 32, 'cifar10': 32, 'cifar100': 32}
_LARGE = 224
# Recipes of methods that do not contrast two equal views.
_RECIPES = {
  'dino': 'dino',
  'mae': 'mae',
  'beit': 'beit',
  'dvae': 'dvae',
  'rotation': 'crop_flip',
  'relative_patch': 'patches',
  'jigsaw': 'patches',
  'colorization': 'colorization',
  'clip': 'clip',
  'siglip': 'siglip',
}
# Towers of texts for small pictures, with a token a byte.
_SMALL_TEXT = {'dim': 128, 'depth': 4, 'num_heads': 4}
_SMALL_TEXT_ENCODERS = {
  'clip': {'name': 'clip_512', **_SMALL_TEXT},
  'siglip': {'name': 'siglip_b', **_SMALL_TEXT},
}
# The slow network comes to rest at the end of the run.
_TO_ONE = {'name': 'cosine', 'end': 1.0}
_METHODS = {
  'moco_v3': {'momentum': {**_TO_ONE, 'start': 0.99}},
  'dino': {'momentum': {**_TO_ONE, 'start': 0.996}},
}
# Queues, heads and tiles that fit small pictures and few of them.
_SMALL_METHODS = {
  'moco_v1': {'queue_size': 1024, 'momentum': 0.99},
  'moco_v2': {'queue_size': 1024, 'momentum': 0.99},
  'relative_patch': {'patch_size': 12, 'gap': 4, 'jitter': 1},
  'jigsaw': {'patch_size': 8, 'channel_shift': 1},
}
_SMALL_HEADS = {'dino': {'name': 'dino', 'out_dim': 4096}}
_SMALL_RECIPES = {
  'dino': {'local_size': 16, 'num_local': 4, 'use_blur': False},
}
# Groups of BatchNorm, without which a query knows its key by the batch.
_RESNETS = {'moco_v1': {'bn_groups': 8}, 'moco_v2': {'bn_groups': 8}}
# What a method wants of its vision transformer.
_ENCODERS = {
  'moco_v3': {'position': 'sincos_moco'},
  'mae': {'position': 'sincos_mae'},
  # Positions that serve tiles and whole images.
  'relative_patch': {'position': 'sincos_mae'},
  'jigsaw': {'position': 'sincos_mae'},
  'beit': {
    'position': 'relative',
    'layer_scale': 0.1,
    'use_mask_token': True,
  },
}


def default_config(method: str, encoder: str, data: str) -> Config:
  """Returns the sections that differ from the constructors' defaults.

  AdamW with a warm-up serves small batches and every encoder; recipes with the
  published optimizers are in `configs/`.

  Args:
    method: key of `METHODS`.
    encoder: name for `models.make_encoder`.
    data: name of a source, a TFDS name, or the path of a folder of pictures.
  """
  small = _SMALL.get(data)
  size = small or _LARGE
  is_resnet = encoder.startswith('resnet')
  is_vit = encoder.startswith('vit')
  return {
    'method': {
      'name': method,
      **_METHODS.get(method, {}),
      **(_SMALL_METHODS.get(method, {}) if small else {}),
    },
    'encoder': {
      'name': encoder,
      **({'stem': 'cifar'} if is_resnet and small else {}),
      **(_RESNETS.get(method, {}) if is_resnet else {}),
      **(_ENCODERS.get(method, {}) if is_vit else {}),
    },
    'augment': {
      'name': _RECIPES.get(method, 'simclr_cifar' if small else 'simclr'),
      'size': size,
      **(_SMALL_RECIPES.get(method, {}) if small else {}),
    },
    'head': _SMALL_HEADS.get(method, {}) if small else {},
    'text_encoder': _SMALL_TEXT_ENCODERS.get(method, {}) if small else {},
    'data': data_section(data),
    'input': {'crop': 'device' if small else 'host', 'image_size': size},
    'optim': {
      'name': 'adamw',
      'learning_rate': {
        'name': 'cosine',
        'start': 1e-3 if is_resnet else 5e-4,
        'warmup_epochs': 10,
      },
      'weight_decay': 0.05,
      'exclude': 'ndim<=1',
    },
    'train': {'epochs': 100},
  }


def data_section(data: str) -> Config:
  """Returns the section `data` for a name or the path of a folder or file."""
  if is_folder(data):
    return {'name': 'folder', 'path': data}
  if pair_source(data):
    return {'name': pair_source(data), 'path': data}
  return {'name': data}
