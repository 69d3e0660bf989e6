"""SimCLR on crops of 19 photographs: minutes on a CPU, offline.

jaxssl train --config configs/quickstart.py --workdir runs/quickstart
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'simclr', 'temperature': 0.2},
      'head': {'name': 'simclr', 'num_layers': 2, 'out_dim': 64},
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
        'steps': 640,
        'batch_size': 64,
        'log_steps': 20,
        'checkpoint_steps': 320,
      },
      'eval': {
        'steps': 160,
        'data': {'crop': 64, 'size': 32},
        'image_size': 32,
      },
    }
  )
