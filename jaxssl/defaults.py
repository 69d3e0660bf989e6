"""Good defaults where the user names a method, an encoder and data only."""

import pathlib

from jaxssl.config import Config

# Pictures that are small to begin with: side in pixels.
_SMALL = {'photos': 32, 'digits': 32, 'cifar10': 32, 'cifar100': 32}
_LARGE = 224


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
  return {
    'method': {'name': method},
    'encoder': {
      'name': encoder,
      **({'stem': 'cifar'} if is_resnet and small else {}),
    },
    'augment': {'name': 'simclr_cifar' if small else 'simclr', 'size': size},
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
  """Returns the section `data` for a name or the path of a folder."""
  if pathlib.Path(data).is_dir():
    return {'name': 'folder', 'path': data}
  return {'name': data}
