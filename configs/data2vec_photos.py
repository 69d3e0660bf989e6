"""data2vec on crops of 19 photographs with a small ViT, offline.

    jaxssl train --config configs/data2vec_photos.py --workdir runs/data2vec

Paper: Baevski et al. 2022, https://arxiv.org/abs/2202.03555. 64 patches of 4
pixels, up to 38 of them hidden.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'data2vec',
        'num_masked': 38,
        'min_block': 4,
        'num_blocks': 3,
        'momentum': 0.99,
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'position': 'relative',
        'layer_scale': 0.1,
        'use_mask_token': True,
        'pool': 'avg',
        'fc_norm': False,
      },
      'augment': {'name': 'crop_flip', 'size': 32, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 40},
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'clip_norm': 3.0,
      },
      'train': {
        'steps': 600,
        'batch_size': 128,
        'log_steps': 20,
        'checkpoint_steps': 250,
      },
      'eval': {
        'steps': 200,
        'data': {'crop': 64, 'size': 32},
        'image_size': 32,
      },
    }
  )
