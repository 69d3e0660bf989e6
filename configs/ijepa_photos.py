"""I-JEPA on crops of 19 photographs with a small ViT, offline.

    jaxssl train --config configs/ijepa_photos.py --workdir runs/ijepa_photos

Paper: Assran et al. 2023, https://arxiv.org/abs/2301.08243. 64 patches of 4
pixels, 19 or fewer of them in the context; a predictor of two blocks.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'ijepa',
        'predictor_dim': 64,
        'predictor_depth': 2,
        'predictor_heads': 4,
        'momentum': {'name': 'linear', 'start': 0.99, 'end': 1.0},
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'position': 'sincos_mae',
        'class_token': False,
        'pool': 'avg',
        'fc_norm': False,
      },
      'augment': {'name': 'ijepa', 'size': 32, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 40},
        'lr_scaling': 'none',
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
