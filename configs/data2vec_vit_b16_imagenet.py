"""data2vec, ViT-B/16, ImageNet, 800 epochs at batch 2048.

Paper: Baevski et al. 2022, https://arxiv.org/abs/2202.03555; settings of the
README of facebookresearch/data2vec_vision.

    jaxssl train --config data2vec_vit_b16_imagenet --workdir runs/data2vec

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 accelerators in bfloat16; hours not measured.
Expected: 84.2 % fine-tuned (paper, ViT-B, 800 epochs).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'data2vec',
        'num_masked': 120,
        'num_blocks': 6,
        'momentum': 0.9998,
      },
      'encoder': {
        'name': 'vit_b16',
        'position': 'relative',
        'layer_scale': 1e-4,
        'drop_path': 0.25,
        'use_mask_token': True,
        'pool': 'avg',
        'fc_norm': False,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'beit', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 2e-3,
          'end': 1e-5,
          'warmup_epochs': 10,
        },
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        # The authors' exception; their mask token is decayed.
        'rules': ({'match': 'cls_token', 'weight_decay': 0.0},),
        'clip_norm': 3.0,
      },
      'train': {'epochs': 800, 'batch_size': 2048},
      'eval': {'steps': 12500, 'split': 'validation'},
    }
  )
