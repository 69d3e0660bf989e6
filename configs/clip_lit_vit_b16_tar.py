"""LiT: texts learn to match a trained ViT-B/16, which stays as it is.

    jaxssl train --config configs/clip_lit_vit_b16_tar.py \\
      --config.train.init_encoder=runs/mine/export \\
      --config.data.path='shards/{00000..00999}.tar' \\
      --config.text.tokenizer=tokenizer.json --workdir runs/lit

Paper: Zhai et al. 2021, https://arxiv.org/abs/2111.07991. The image tower is
locked by a rule of the optimizer: no update, no decay, no moments. Its
gradient is computed all the same and counts in the logged norm. Section
`encoder` must be that of the run that trained it. A tower of another recipe
wants its mean and deviation: `--config.augment.name=crop_flip` has ImageNet's.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'clip', 'project_images': False},
      'head': {'name': 'clip', 'out_dim': 768},
      'encoder': {'name': 'vit_b16', 'dtype': 'bfloat16', 'remat': True},
      'text': {'length': 77},
      'text_encoder': {'name': 'clip_768', 'dtype': 'bfloat16', 'remat': True},
      'augment': {'name': 'clip', 'size': 224},
      'data': {'name': 'tar', 'path': 'shards/{00000..00999}.tar'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 1e-3,
          'warmup_epochs': 1,
        },
        'lr_scaling': 'none',
        'weight_decay': 1e-4,
        'exclude': 'ndim<=1',
        'rules': ({'match': '^image/encoder/', 'freeze_steps': -1},),
      },
      'train': {'epochs': 20, 'batch_size': 16384},
    }
  )
