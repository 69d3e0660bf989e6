"""W-MSE, ResNet-18 with CIFAR stem, CIFAR-10, 1000 epochs at batch 512.

Paper: Ermolov et al. 2021, https://arxiv.org/abs/2007.06346; the command of the
README of htdt/self-supervised with two views ("W-MSE 2").

    jaxssl train --config configs/wmse_resnet18_cifar10.py --workdir runs/wmse
    jaxssl eval knn linear --workdir runs/wmse

Differs: pictures become gray with probability 0.2, theirs 0.1; weight decay is
decoupled, theirs is Adam's penalty; the rate falls along a cosine, theirs by
steps in the last 50 epochs.

Hardware: one GPU; hours not measured.
Expected: see table 1 of the paper.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'wmse', 'group': 128},
      'head': {'name': 'wmse'},
      'encoder': {'name': 'resnet18', 'stem': 'cifar'},
      'augment': {
        'name': 'simclr_cifar',
        'size': 32,
        'scale': (0.2, 1.0),
        'strength': 0.5,
      },
      'data': {'name': 'cifar10'},
      'input': {'crop': 'device', 'image_size': 32},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 3e-3,
          'warmup_steps': 500,
        },
        'lr_scaling': 'none',
        'weight_decay': 1e-6,
      },
      'train': {'epochs': 1000, 'batch_size': 512},
      'eval': {'steps': 2000},
    }
  )
