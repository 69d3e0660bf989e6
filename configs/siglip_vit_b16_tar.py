"""SigLIP, ViT-B/16, on tar files of image-text pairs.

    jaxssl train --config configs/siglip_vit_b16_tar.py \\
      --config.data.path='shards/{00000..00999}.tar' \\
      --config.text.tokenizer=tokenizer.json --workdir runs/siglip_b16

Paper: Zhai et al. 2023, https://arxiv.org/abs/2303.15343. Towers, loss, batch
and texts of 64 tokens are the paper's; the authors train with Adafactor on
WebLI, here it is AdamW with the second moment's 0.95.
Without a tokenizer a token is a byte.
Expected: the authors' weights reach 76.2 % zero-shot on ImageNet.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'siglip', 'project_images': False, 'chunk': 1024},
      'head': {'name': 'siglip', 'out_dim': 768},
      'encoder': {
        'name': 'siglip_vit_b16',
        'dtype': 'bfloat16',
        'remat': True,
      },
      'text': {'length': 64, 'clean': 'siglip'},
      'text_encoder': {
        'name': 'siglip_b',
        'dtype': 'bfloat16',
        'remat': True,
      },
      'augment': {'name': 'siglip', 'size': 224},
      'data': {'name': 'tar', 'path': 'shards/{00000..00999}.tar'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 1e-3,
          'warmup_epochs': 0.5,
        },
        'lr_scaling': 'none',
        'b2': 0.95,
        'weight_decay': 1e-4,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 20, 'batch_size': 32768},
    }
  )
