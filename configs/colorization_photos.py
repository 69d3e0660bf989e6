"""Colorization on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/colorization_photos.py --workdir runs/color

Paper: Zhang et al. 2016, https://arxiv.org/abs/1603.08511. Colours of 8x8
places in views of 32 pixels; the photographs without colour carry no loss.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'colorization', 'decoder_dim': 64},
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25},
      'augment': {'name': 'colorization', 'size': 32, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 2e-3, 'warmup_steps': 20},
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
      },
      'train': {
        'steps': 400,
        'batch_size': 128,
        'log_steps': 10,
        'checkpoint_steps': 100,
      },
      'eval': {
        'steps': 100,
        'data': {'crop': 64, 'size': 32},
        'image_size': 32,
      },
    }
  )
