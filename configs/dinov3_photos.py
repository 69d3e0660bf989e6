"""DINOv3's Gram anchoring on crops of 19 photographs: on a CPU, offline.

    jaxssl train --config configs/dinov3_photos.py --workdir runs/dinov3_photos

Paper: Siméoni et al. 2025, https://arxiv.org/abs/2508.10104. `dinov2_photos`
with rotary positions and an anchor that becomes the teacher every 200 steps and
sees the large crops at twice the size. In the paper it comes late in a long
run; here it grows from nothing.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dinov3',
        'gram_weight': {'name': 'linear', 'start': 0.0, 'end': 1.0},
        'gram_every': 200,
        'teacher_temperature': {'name': 'linear', 'start': 0.04, 'end': 0.07},
        'momentum': {'name': 'cosine', 'start': 0.97, 'end': 1.0},
      },
      'head': {
        'name': 'dinov3',
        'hidden_dim': 256,
        'bottleneck_dim': 64,
        'out_dim': 512,
      },
      'encoder': {
        'name': 'vit_ti4',
        'dim': 128,
        'depth': 6,
        'num_heads': 4,
        'use_mask_token': True,
        'position': 'rope',
      },
      'augment': {
        'name': 'dinov3',
        'size': 32,
        'gram_size': 64,
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
        'rules': ({'match': 'head/last_layer', 'freeze_steps': 40},),
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
