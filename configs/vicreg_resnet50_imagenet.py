"""VICReg, ResNet-50, ImageNet, 1000 epochs at batch 2048.

Paper: Bardes et al. 2022, https://arxiv.org/abs/2105.04906; settings of the
README and main_vicreg.py of facebookresearch/vicreg.

    jaxssl train --config vicreg_resnet50_imagenet --workdir runs/vicreg

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 to 32 accelerators in bfloat16; hours not measured.
Expected: 73.2 % linear accuracy (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'vicreg',
        'invariance': 25.0,
        'variance': 25.0,
        'covariance': 1.0,
      },
      'head': {'name': 'vicreg'},
      'encoder': {
        'name': 'resnet50',
        'zero_init_residual': True,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'byol', 'size': 224, 'scale': (0.08, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'lars',
        'learning_rate': {
          'name': 'cosine',
          'start': 0.2,
          'end': 0.0002,
          'warmup_epochs': 10,
        },
        'weight_decay': 1e-6,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 1000, 'batch_size': 2048},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
