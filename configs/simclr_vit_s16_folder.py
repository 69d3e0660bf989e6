"""SimCLR, ViT-S/16, any folder of pictures; AdamW for moderate batches.

    jaxssl train --config configs/simclr_vit_s16_folder.py \\
      --config.data.path=FOLDER --workdir runs/mine

Not a published recipe: SimCLR's views and loss, with the optimizer settings
that DINO and MoCo v3 use for ViTs (lr 5e-4 x batch / 256, decay 0.05 to 0.1).
Hardware: one GPU for batch 512 in bfloat16; hours not measured.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'simclr', 'temperature': 0.2},
      'head': {'name': 'simclr', 'num_layers': 3, 'out_dim': 128},
      'encoder': {'name': 'vit_s16', 'drop_path': 0.1, 'dtype': 'bfloat16'},
      'augment': {'name': 'simclr', 'size': 224},
      'data': {
        'name': 'folder',
        'path': 'pictures',
        'test_fraction': 0.1,
      },
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 5e-4,
          'end': 1e-6,
          'warmup_epochs': 10,
        },
        'weight_decay': 0.1,
        'exclude': 'ndim<=1',
        'clip_norm': 3.0,
      },
      'train': {'epochs': 100, 'batch_size': 512},
    }
  )
