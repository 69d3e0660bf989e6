"""MoCo v3 on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/moco_v3_photos.py --workdir runs/m3

Paper: Chen et al. 2021, https://arxiv.org/abs/2104.02057. The ResNet recipe
with small heads.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'moco_v3',
        'temperature': 0.2,
        'momentum': {'name': 'cosine', 'start': 0.97, 'end': 1.0},
        'predictor_last_bn': False,
      },
      'head': {
        'name': 'moco_v3',
        'num_layers': 2,
        'hidden_dim': 256,
        'out_dim': 64,
      },
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25},
      'augment': {'name': 'simclr_cifar', 'size': 32, 'scale': (0.1, 0.6)},
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
