"""MoCo v1 on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/moco_v1_photos.py --workdir runs/m1

Paper: He et al. 2019, https://arxiv.org/abs/1911.05722. The linear head, the
temperature and the augmentation of v1; the rest as configs/moco_v2_photos.py.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'moco_v1',
        'temperature': 0.07,
        'momentum': 0.99,
        'queue_size': 1024,
      },
      'head': {'name': 'moco_v1', 'out_dim': 64},
      'encoder': {
        'name': 'resnet18',
        'stem': 'cifar',
        'width': 0.25,
        'bn_groups': 8,
      },
      'augment': {'name': 'moco_v1', 'size': 32, 'scale': (0.1, 0.6)},
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
