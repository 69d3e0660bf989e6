"""MaskFeat on crops of 19 photographs with a small ViT, offline.

    jaxssl train --config configs/maskfeat_photos.py --workdir runs/maskfeat

Paper: Wei et al. 2021, https://arxiv.org/abs/2112.09133. 64 patches of 4
pixels, of which 26 are hidden, and one histogram a patch and channel.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'maskfeat',
        'num_masked': 26,
        'min_block': 4,
        'cell': 4,
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'use_mask_token': True,
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
        'clip_norm': 0.3,
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
