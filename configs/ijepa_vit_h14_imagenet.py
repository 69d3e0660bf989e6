"""I-JEPA, ViT-H/14, ImageNet, 300 epochs at batch 2048.

Paper: Assran et al. 2023, https://arxiv.org/abs/2301.08243; settings of
configs/in1k_vith14_ep300.yaml of facebookresearch/ijepa.

    jaxssl train --config ijepa_vit_h14_imagenet --workdir runs/ijepa

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 accelerators of 80 GB in the paper; hours not measured.
Expected: 79.3 % linear (paper, ViT-H/14, 300 epochs).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'ijepa',
        'predictor_dim': 384,
        'predictor_depth': 12,
        'predictor_heads': 16,
        'momentum': {'name': 'linear', 'start': 0.996, 'end': 1.0},
      },
      'encoder': {
        'name': 'vit_l14',
        'dim': 1280,
        'depth': 32,
        'num_heads': 16,
        'position': 'sincos_mae',
        'class_token': False,
        'pool': 'avg',
        'fc_norm': False,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'ijepa', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'warmup_start': 2e-4,
          'start': 1e-3,
          'end': 1e-6,
          'warmup_epochs': 40,
        },
        'lr_scaling': 'none',
        'weight_decay': {'name': 'cosine', 'start': 0.04, 'end': 0.4},
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 300, 'batch_size': 2048},
      'eval': {'steps': 12500, 'split': 'validation'},
    }
  )
