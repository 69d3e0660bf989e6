"""MoCo v2, ResNet-50, ImageNet, 200 epochs at batch 256.

Paper: Chen et al. 2020, https://arxiv.org/abs/2003.04297; main_moco.py of
facebookresearch/moco with `--mlp --moco-t 0.2 --aug-plus --cos`.

    jaxssl train --config configs/moco_v2_resnet50_imagenet.py --workdir runs/m2

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 8 GPUs of 11 GB or more; hours not measured.
Arithmetic (`jaxssl plan`): 31.9 GFLOP an image, 5.7 H100 hours at 40 % of peak.
Expected: 67.5 % linear accuracy (the authors' README; 71.1 % after 800 epochs).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'moco_v2'},
      'head': {'name': 'moco_v2', 'out_dim': 128},
      'encoder': {'name': 'resnet50', 'bn_groups': 8, 'dtype': 'bfloat16'},
      'augment': {'name': 'moco_v2', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'sgd',
        'learning_rate': {
          'name': 'cosine',
          'start': 0.03,
          'convention': 'epoch',
        },
        'weight_decay': 1e-4,
      },
      'train': {'epochs': 200, 'batch_size': 256},
      'eval': {'steps': 25000, 'split': 'validation'},
    }
  )
