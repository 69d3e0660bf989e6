"""CoCa on crops of 19 photographs and their captions: minutes, offline.

    jaxssl train --config configs/coca_photos.py --workdir runs/coca

Paper: Yu et al. 2022, https://arxiv.org/abs/2205.01917. Towers, batch and steps
for two CPU cores; a token per byte, so no tokenizer has to be trained.
Measured: a smaller run, benchmarks/results/coca_photos.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'coca'},
      'head': {'name': 'coca', 'out_dim': 64},
      'encoder': {
        'name': 'vit_ti4',
        'dim': 96,
        'depth': 3,
        'num_heads': 3,
        'pool': 'map',
        'class_token': False,
      },
      'text': {'length': 64},
      'text_encoder': {
        'name': 'clip_512',
        'dim': 64,
        'depth': 2,
        'num_heads': 2,
      },
      'augment': {'name': 'clip', 'size': 32, 'scale': (0.3, 1.0)},
      'data': {'name': 'photos'},
      'input': {'crop': 'device', 'image_size': 32},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 2e-3, 'warmup_steps': 20},
        'lr_scaling': 'none',
        'weight_decay': 0.01,
        'exclude': 'ndim<=1',
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
