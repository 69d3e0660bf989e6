"""Barlow Twins, ResNet-50, ImageNet, 1000 epochs at batch 2048.

Paper: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230; settings of the
README and main.py of facebookresearch/barlowtwins.

    jaxssl train --config barlow_twins_resnet50_imagenet --workdir runs/bt

The authors add the matrix up over 32 GPUs outside of the gradient, so theirs is
1/32 of that of the loss. Here it is the whole one; so that the steps are
theirs, the weight decay inside LARS is 32 times their 1e-6, and the learning
rate of biases and scales, which have no trust ratio, is 1/32 of their 0.024 of
that of the weights.

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 to 32 accelerators in bfloat16; hours not measured.
Expected: 73.2 % linear accuracy (paper), 73.5 % (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'barlow_twins', 'off_diagonal': 0.0051},
      'head': {'name': 'barlow_twins'},
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
        'weight_decay': 32e-6,
        'exclude': 'ndim<=1',
        'rules': ({'match': '(bias|scale)$', 'learning_rate': 0.024 / 32},),
      },
      'train': {'epochs': 1000, 'batch_size': 2048},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
