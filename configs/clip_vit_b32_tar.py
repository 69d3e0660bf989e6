"""CLIP, ViT-B/32, on tar files of image-text pairs.

    jaxssl train --config configs/clip_vit_b32_tar.py \\
      --config.data.path='shards/{00000..00999}.tar' \\
      --config.text.tokenizer=tokenizer.json --workdir runs/clip_b32

Paper: Radford et al. 2021, https://arxiv.org/abs/2103.00020, tables 18 to 20:
batch 32768, 32 epochs of 400 million pairs, AdamW with decay 0.2. Without a
tokenizer (OpenAI's `bpe_simple_vocab_16e6.txt.gz`, or one of your own from
`jaxssl tokenizer train`) a token is a byte.
Expected: 63.2 % zero-shot on ImageNet after the authors' 400 million pairs.
Hardware: hours not measured; a batch that does not fit into memory goes in
parts, `--config.train.micro_batches=16`.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'clip', 'chunk': 1024},
      'head': {'name': 'clip', 'out_dim': 512},
      'encoder': {'name': 'clip_vit_b32', 'dtype': 'bfloat16', 'remat': True},
      'text': {'length': 77},
      'text_encoder': {
        'name': 'clip_512',
        'dtype': 'bfloat16',
        'remat': True,
      },
      'augment': {'name': 'clip', 'size': 224},
      'data': {'name': 'tar', 'path': 'shards/{00000..00999}.tar'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 5e-4,
          # 2000 steps of 12207 per epoch.
          'warmup_epochs': 0.164,
        },
        'lr_scaling': 'none',
        'b2': 0.98,
        'epsilon': 1e-6,
        'weight_decay': 0.2,
        'exclude': 'ndim<=1',
        # A vector in open_clip, which decays none.
        'rules': ({'match': 'cls_token$', 'weight_decay': 0.0},),
      },
      'train': {'epochs': 32, 'batch_size': 32768},
    }
  )
