"""BEiT on crops of 19 photographs with a small ViT: minutes on a CPU, offline.

    jaxssl train --config configs/dvae_photos.py --workdir runs/dvae_photos
    jaxssl train --config configs/beit_photos.py --workdir runs/beit_photos

Paper: Bao et al. 2021, https://arxiv.org/abs/2106.08254. 64 patches of 4
pixels, up to 26 of them hidden; the tokenizer sees the view at 64 pixels.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'beit',
        'tokenizer': 'runs/dvae_photos/export',
        'num_masked': 26,
        'min_block': 5,
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'position': 'relative',
        'layer_scale': 0.1,
        'use_mask_token': True,
      },
      'augment': {'name': 'beit', 'size': 32, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 40},
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'rules': ({'match': 'cls_token', 'weight_decay': 0.0},),
        'clip_norm': 3.0,
      },
      'train': {
        'steps': 600,
        'batch_size': 64,
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
