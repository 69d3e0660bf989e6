"""MoCo v1, ResNet-50, ImageNet, 200 epochs at batch 256.

Paper: He et al. 2020, https://arxiv.org/abs/1911.05722; settings of
main_moco.py of facebookresearch/moco.

    jaxssl train --config configs/moco_v1_resnet50_imagenet.py --workdir runs/m1

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 8 GPUs of 11 GB or more; hours not measured.
Arithmetic (`jaxssl plan`): 31.9 GFLOP an image, 5.7 H100 hours at 40 % of peak.
Expected: 60.6 % linear accuracy (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'moco_v1'},
      'head': {'name': 'moco_v1', 'out_dim': 128},
      'encoder': {'name': 'resnet50', 'bn_groups': 8, 'dtype': 'bfloat16'},
      'augment': {'name': 'moco_v1', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'sgd',
        'learning_rate': {
          'name': 'piecewise',
          'start': 0.03,
          'factor': 0.1,
          'boundary_epochs': (120, 160),
        },
        'weight_decay': 1e-4,
      },
      'train': {'epochs': 200, 'batch_size': 256},
      'eval': {'steps': 25000, 'split': 'validation'},
    }
  )
