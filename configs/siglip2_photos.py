"""SigLIP 2 on crops of 19 photographs and their captions: minutes, offline.

    jaxssl train --config configs/siglip2_photos.py --workdir runs/siglip2

Paper: Tschannen et al. 2025, https://arxiv.org/abs/2502.14786. Towers, batch
and steps for two CPU cores, 512 prototypes, two small views; a token per byte,
so no tokenizer has to be trained. The teacher is faster, as it has 60 steps.
Measured: benchmarks/results/siglip2_photos.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'siglip2',
        'self_weight': {'name': 'switch', 'start': 0.0, 'end': 0.25, 'at': 0.8},
        'num_prototypes': 512,
        'hidden_dim': 256,
        'bottleneck_dim': 64,
        'momentum': 0.97,
      },
      'head': {'name': 'siglip2', 'out_dim': 64},
      'encoder': {
        'name': 'vit_ti4',
        'dim': 96,
        'depth': 3,
        'num_heads': 3,
        'pool': 'map',
        'class_token': False,
        'use_mask_token': True,
      },
      'text': {'length': 64},
      'text_encoder': {
        'name': 'siglip_b',
        'dim': 64,
        'depth': 2,
        'num_heads': 2,
      },
      'augment': {
        'name': 'siglip2',
        'size': 32,
        'scale': (0.3, 1.0),
        'local_size': 16,
        'num_local': 2,
        'use_blur': False,
      },
      'data': {'name': 'photos'},
      'input': {'crop': 'device', 'image_size': 32},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 2e-3, 'warmup_steps': 20},
        'lr_scaling': 'none',
        'weight_decay': 1e-4,
        'exclude': 'ndim<=1',
        'clip_norm': 1.0,
      },
      'train': {
        'steps': 300,
        'batch_size': 64,
        'log_steps': 10,
        'checkpoint_steps': 100,
      },
      'eval': {'steps': 100},
    }
  )
