"""MSN on crops of 19 photographs with a small ViT: minutes on a CPU, offline.

    jaxssl train --config configs/msn_photos.py --workdir runs/msn_photos

Paper: Assran et al. 2022, https://arxiv.org/abs/2204.07141. Two and two crops,
128 prototypes, 64 patches of 4 pixels, a faster slow network.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'msn',
        'mask_ratio': 0.3,
        'momentum': {'name': 'linear', 'start': 0.97, 'end': 1.0},
      },
      'head': {
        'name': 'msn',
        'hidden_dim': 256,
        'bottleneck_dim': 64,
        'out_dim': 128,
      },
      'encoder': {'name': 'vit_ti4', 'dim': 128, 'depth': 6, 'num_heads': 4},
      'augment': {
        'name': 'msn',
        'size': 32,
        'local_size': 16,
        'num_local': 2,
        'scale': (0.15, 0.6),
        'local_scale': (0.05, 0.15),
        'use_blur': False,
      },
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 60},
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'clip_norm': 3.0,
        'rules': ({'match': 'head/last_layer', 'weight_decay': 0.0},),
      },
      'train': {
        'steps': 600,
        'batch_size': 64,
        'log_steps': 20,
        'checkpoint_steps': 200,
      },
      'eval': {
        'steps': 200,
        'data': {'crop': 64, 'size': 32},
        'image_size': 32,
      },
    }
  )
