"""Relative patch location on crops of 19 photographs: minutes on a CPU.

    jaxssl train --config configs/relative_patch_photos.py --workdir runs/patch

Paper: Doersch et al. 2015, https://arxiv.org/abs/1505.05192. Patches of 24
pixels, a gap of 6, each moved by up to 2.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'relative_patch',
        'patch_size': 24,
        'gap': 6,
        'jitter': 2,
        'embed_dim': 128,
        'hidden_dim': 256,
      },
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25},
      'augment': {'name': 'patches', 'size': 60, 'scale': (0.6, 1.0)},
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
