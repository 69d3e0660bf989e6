"""BYOL, ResNet-50, ImageNet, 1000 epochs at batch 4096.

Paper: Grill et al. 2020, https://arxiv.org/abs/2006.07733; settings of
configs/byol.py in byol of google-deepmind/deepmind-research. For 300 epochs the
authors have rate 0.3, decay 1e-6 and momentum from 0.99; for 100, 0.45, 1e-6
and 0.99.

    jaxssl train --config byol_resnet50_imagenet --workdir runs/byol

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
The authors train on all 1,281,167 images.
Hardware: 16 to 32 accelerators in bfloat16; hours not measured.
Expected: 74.3 % linear accuracy (paper).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'byol',
        'momentum': {'name': 'cosine', 'start': 0.996, 'end': 1.0},
      },
      'head': {'name': 'byol'},
      'encoder': {'name': 'resnet50', 'dtype': 'bfloat16'},
      'augment': {'name': 'byol', 'size': 224, 'scale': (0.08, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'lars',
        'learning_rate': {
          'name': 'cosine',
          'start': 0.2,
          'warmup_epochs': 10,
        },
        'weight_decay': 1.5e-6,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 1000, 'batch_size': 4096},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
