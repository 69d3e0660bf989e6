"""BEiT, ViT-B/16, ImageNet-1k, 800 epochs at batch 2048.

Paper: Bao et al. 2021, https://arxiv.org/abs/2106.08254; settings of the README
of beit/ in microsoft/unilm.

    jaxssl train --config configs/dvae_imagenet.py --workdir runs/dvae
    jaxssl train --config configs/beit_vit_b16_imagenet.py --workdir runs/beit

The authors' tokenizer is DALL-E's; with its encoder as a safetensors file
(`weights/dalle.py` says how):

    jaxssl import dalle encoder.safetensors --encoder dvae --image_size 112 \\
      --workdir runs/dvae

Hardware: the authors used 16 V100 with 128 images each; hours not measured.
Arithmetic (`jaxssl plan`): 159 GFLOP an image, 114 H100 hours at 40 % of peak.
Expected: 83.2 % fine-tuned, with DALL-E's tokenizer. The last layer is poor
under a linear probe; layers in the middle are better.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'beit',
        'tokenizer': 'runs/dvae/export',
        'num_masked': 75,
      },
      'encoder': {
        'name': 'vit_b16',
        'position': 'relative',
        'layer_scale': 0.1,
        'drop_path': 0.1,
        'use_mask_token': True,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'beit', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 1.5e-3,
          'end': 1e-5,
          'warmup_epochs': 10,
        },
        # The published rate is that of batch 2048.
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'rules': ({'match': 'cls_token', 'weight_decay': 0.0},),
        'clip_norm': 3.0,
      },
      'train': {'epochs': 800, 'batch_size': 2048},
      'eval': {'steps': 10000, 'split': 'validation'},
    }
  )
