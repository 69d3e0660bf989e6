"""SwAV on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/swav_photos.py --workdir runs/swav

Paper: Caron et al. 2020, https://arxiv.org/abs/2006.09882.
Two and two crops, few prototypes.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'swav', 'num_prototypes': 128},
      'head': {'name': 'swav', 'hidden_dim': 256, 'out_dim': 64},
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25},
      'augment': {
        'name': 'swav',
        'size': 32,
        'local_size': 16,
        'num_local': 2,
        'scale': (0.15, 0.6),
        'local_scale': (0.05, 0.15),
        'use_blur': False,
      },
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 2e-3, 'warmup_steps': 20},
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'rules': ({'match': 'prototypes', 'freeze_steps': 38},),
      },
      'train': {
        'steps': 220,
        'batch_size': 128,
        'log_steps': 10,
        'checkpoint_steps': 110,
      },
      'eval': {
        'steps': 55,
        'data': {'crop': 64, 'size': 32},
        'image_size': 32,
      },
    }
  )
