"""CoCa, ViT-B/18, on tar files of image-text pairs.

    jaxssl train --config configs/coca_vit_b18_tar.py \\
      --config.data.path='shards/{00000..00999}.tar' \\
      --config.text.tokenizer=tokenizer.json --workdir runs/coca_b18

Paper: Yu et al. 2022, https://arxiv.org/abs/2205.01917, CoCa-Base. Widths,
depths (12 for the image, 12 for the text, 12 for the decoder), 288 pixels,
texts of 64 tokens, loss weights, batch, steps, warm-up, rate and decay are the
paper's; the authors train with Adafactor on JFT-3B and ALIGN, and their rate
falls along a line; here it is AdamW and a cosine.
Without a tokenizer a token is a byte.
Expected: 82.6 % zero-shot on ImageNet in the paper.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'coca', 'chunk': 1024},
      'head': {'name': 'coca', 'out_dim': 768},
      'encoder': {
        'name': 'vit_b18',
        'pool': 'map',
        'class_token': False,
        'dtype': 'bfloat16',
        'remat': True,
      },
      'text': {'length': 64},
      'text_encoder': {
        'name': 'clip_768',
        'act': 'gelu',
        'dtype': 'bfloat16',
        'remat': True,
      },
      'augment': {'name': 'clip', 'size': 288},
      'data': {'name': 'tar', 'path': 'shards/{00000..00999}.tar'},
      'input': {'crop': 'host', 'image_size': 288},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 8e-4,
          'warmup_steps': 10000,
        },
        'lr_scaling': 'none',
        'weight_decay': 0.01,
        'exclude': 'ndim<=1',
      },
      'train': {'steps': 500000, 'batch_size': 65536},
    }
  )
