"""DINO, ViT-S/16, ImageNet, 100 epochs at batch 512, 2 + 8 crops.

Paper: Caron et al. 2021, https://arxiv.org/abs/2104.14294; the defaults of
main_dino.py of facebookresearch/dino.

    jaxssl train --config configs/dino_vit_s16_imagenet.py --workdir runs/dino

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 8 accelerators of 32 GB; hours not measured.
Arithmetic (`jaxssl plan`): 113.5 GFLOP an image, 10 H100 hours at 40 % of peak.
Expected: 69.3 % nearest neighbours, 74.0 % linear (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dino',
        'teacher_temperature': 0.04,
        'momentum': {'name': 'cosine', 'start': 0.996, 'end': 1.0},
      },
      'head': {'name': 'dino', 'out_dim': 65536},
      'encoder': {'name': 'vit_s16', 'drop_path': 0.1, 'dtype': 'bfloat16'},
      'augment': {'name': 'dino', 'size': 224, 'local_size': 96},
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
      'train': {'epochs': 100, 'batch_size': 512},
      'eval': {'steps': 25000, 'split': 'validation'},
    }
  )
