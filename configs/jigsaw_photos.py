"""Jigsaw on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/jigsaw_photos.py --workdir runs/jigsaw

Paper: Noroozi and Favaro 2016, https://arxiv.org/abs/1603.09246. Tiles of 16
pixels in cells of 21, 100 permutations, 4 of them for each image.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'jigsaw',
        'num_permutations': 100,
        'permutations_per_image': 4,
        'patch_size': 16,
        'channel_shift': 1,
        'embed_dim': 64,
        'hidden_dim': 256,
      },
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25},
      'augment': {
        'name': 'patches',
        'size': 63,
        'scale': (0.6, 1.0),
        'gray_prob': 0.3,
      },
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
        'batch_size': 64,
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
