"""MoCo v3, ResNet-50, ImageNet, 100 epochs at batch 4096.

Paper: Chen et al. 2021, https://arxiv.org/abs/2104.02057; settings of the
README and main_moco.py of facebookresearch/moco-v3.

    jaxssl train --config configs/moco_v3_resnet50_imagenet.py --workdir runs/m3

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 to 32 accelerators in bfloat16; hours not measured.
Arithmetic (`jaxssl plan`): 63.9 GFLOP an image, 5.7 H100 hours at 40 % of peak.
Expected: 68.9 % linear accuracy (the authors' README, 100 epochs).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'moco_v3',
        'temperature': 1.0,
        'momentum': {'name': 'cosine', 'start': 0.99, 'end': 1.0},
        'predictor_last_bn': False,
      },
      'head': {'name': 'moco_v3', 'num_layers': 2},
      'encoder': {
        'name': 'resnet50',
        'zero_init_residual': True,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'byol', 'size': 224, 'scale': (0.2, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'lars',
        'learning_rate': {
          'name': 'cosine',
          'start': 0.6,
          'warmup_epochs': 10,
        },
        'weight_decay': 1e-6,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 100, 'batch_size': 4096},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
