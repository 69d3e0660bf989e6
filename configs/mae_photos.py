"""MAE on crops of 19 photographs with a small ViT: minutes on a CPU, offline.

    jaxssl train --config configs/mae_photos.py --workdir runs/mae_photos

Paper: He et al. 2021, https://arxiv.org/abs/2111.06377. 64 patches of 4 pixels,
16 of them visible; a decoder of two blocks.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'mae',
        'decoder_dim': 64,
        'decoder_depth': 2,
        'decoder_heads': 4,
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'position': 'sincos_mae',
      },
      'augment': {'name': 'mae', 'size': 32, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 40},
        'lr_scaling': 'none',
        'b2': 0.95,
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
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
