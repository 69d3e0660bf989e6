"""A small tokenizer on crops of 19 photographs: minutes on a CPU, offline.

    jaxssl train --config configs/dvae_photos.py --workdir runs/dvae_photos

Paper: Ramesh et al. 2021, https://arxiv.org/abs/2102.12092. 64 codes per image
out of 256; the authors' weight of the KL term, from the start. The views are
enlarged to 64 pixels, as BEiT (configs/beit_photos.py) shows them.
Measured: see docs/methods.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dvae',
        'temperature': {'name': 'cosine', 'start': 1.0, 'end': 1 / 16},
        # From the first step: with less of it, one code takes every place.
        'kl_weight': 6.6,
        'decoder_init_width': 64,
      },
      'encoder': {
        'name': 'dvae',
        'width': 32,
        'blocks_per_group': 1,
        'vocab_size': 256,
      },
      'augment': {'name': 'dvae', 'size': 64, 'scale': (0.1, 0.6)},
      'data': {'name': 'photos', 'crop': 128, 'size': 64},
      'input': {'crop': 'device', 'image_size': 64},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 3e-3, 'warmup_steps': 40},
        'lr_scaling': 'none',
        'weight_decay': 1e-4,
      },
      'train': {
        'steps': 500,
        'batch_size': 32,
        'log_steps': 20,
        'checkpoint_steps': 250,
      },
      'eval': {
        'steps': 500,
        'data': {'crop': 64, 'size': 64},
        'image_size': 64,
      },
    }
  )
