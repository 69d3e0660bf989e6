"""Barlow Twins on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/barlow_twins_photos.py --workdir runs/bt

Paper: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230: ResNet-50 on
ImageNet, 1000 epochs, 73.2 linear. Small heads; λ as there.
Others on CIFAR-10 with a ResNet-18: 84.2 kNN after 200 epochs (lightly's
benchmarks), 92.1 linear after 1000 (solo-learn's).
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'barlow_twins', 'off_diagonal': 0.0051},
      'head': {
        'name': 'barlow_twins',
        'num_layers': 2,
        'hidden_dim': 512,
        'out_dim': 512,
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
