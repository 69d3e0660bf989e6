"""iBOT, ViT-S/16, ImageNet, 800 epochs at batch 1024, 2 + 10 crops.

Paper: Zhou et al. 2021, https://arxiv.org/abs/2111.07832; the command of the
README of bytedance/ibot, and the defaults of its main_ibot.py.

    jaxssl train --config configs/ibot_vit_s16_imagenet.py --workdir runs/ibot

Temperatures grow by step, the authors' by epoch.

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: the authors used 16 GPUs with 64 images each; hours not measured.
Arithmetic (`jaxssl plan`): 130.7 GFLOP an image, 94 H100 hours at 40 % of peak.
Expected: 75.2 % nearest neighbours, 77.9 % linear, 82.3 % fine-tuned (the
authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  softer = {
    'name': 'cosine',
    'start': 0.07,
    'end': 0.07,
    'warmup_start': 0.04,
    'warmup_epochs': 30,
  }
  return ConfigDict(
    {
      'method': {
        'name': 'ibot',
        'teacher_temperature': softer,
        'patch_temperature': softer,
        'momentum': {'name': 'cosine', 'start': 0.996, 'end': 1.0},
      },
      'head': {'name': 'ibot', 'out_dim': 8192, 'norm_last_layer': False},
      'encoder': {
        'name': 'vit_s16',
        'drop_path': 0.1,
        'use_mask_token': True,
        'dtype': 'bfloat16',
      },
      'augment': {
        'name': 'dino',
        'size': 224,
        'local_size': 96,
        'num_local': 10,
        'scale': (0.25, 1.0),
        'local_scale': (0.05, 0.25),
      },
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 5e-4,
          'end': 1e-6,
          'warmup_epochs': 10,
          'convention': 'linspace',
        },
        'weight_decay': {
          'name': 'cosine',
          'start': 0.04,
          'end': 0.4,
          'convention': 'linspace',
        },
        'exclude': 'ndim<=1',
        'clip_tensor_norm': 3.0,
        'rules': ({'match': 'head/last_layer', 'freeze_epochs': 1},),
      },
      'train': {'epochs': 800, 'batch_size': 1024},
      'eval': {'steps': 25000, 'split': 'validation'},
    }
  )
