"""DINOv2 on crops of 19 photographs, a small ViT: minutes on a CPU, offline.

    jaxssl train --config configs/dinov2_photos.py --workdir runs/dinov2_photos

Paper: Oquab et al. 2023, https://arxiv.org/abs/2304.07193. Two and two crops,
512 prototypes, 64 patches of 4 pixels, a faster teacher.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dinov2',
        'teacher_temperature': {'name': 'linear', 'start': 0.04, 'end': 0.07},
        'momentum': {'name': 'cosine', 'start': 0.97, 'end': 1.0},
      },
      'head': {
        'name': 'dinov2',
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
      },
      'augment': {
        'name': 'dino',
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
