"""A small encoder from a trained one, on crops of 19 photographs, offline.

    jaxssl train --config quickstart --workdir runs/quickstart
    jaxssl train --config configs/distillation_photos.py --workdir runs/small

The teacher is the encoder of the first run; --config.method.teacher=WORKDIR
takes another, for example one of `jaxssl import`.

Paper: Ranzinger et al. 2023, https://arxiv.org/abs/2312.06709, with one
teacher.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'distillation', 'teacher': 'runs/quickstart'},
      'head': {'name': 'distillation', 'hidden_dim': 256},
      # A quarter of the teacher's parameters.
      'encoder': {'name': 'resnet18', 'stem': 'cifar', 'width': 0.125},
      'augment': {'name': 'distillation', 'size': 32, 'scale': (0.1, 0.6)},
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
