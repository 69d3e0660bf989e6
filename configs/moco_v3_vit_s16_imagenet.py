"""MoCo v3, ViT-S/16, ImageNet, 300 epochs at batch 4096.

Paper: Chen et al. 2021, https://arxiv.org/abs/2104.02057; settings of the
README and main_moco.py of facebookresearch/moco-v3. The authors' ViT-S has 12
heads. Their variant with convolutions instead of patches, `vit_conv_small`, is
`--config.encoder.stem=conv --config.encoder.depth=11 --config.optim.rules=()`.

    jaxssl train --config configs/moco_v3_vit_s16_imagenet.py --workdir runs/m3

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 32 accelerators in bfloat16; hours not measured.
Arithmetic (`jaxssl plan`): 73.7 GFLOP an image, 20 H100 hours at 40 % of peak.
Expected: 73.2 % linear accuracy (the authors' README, 300 epochs).
ViT-B: `--config.encoder.name=vit_b16`, 76.7 % linear.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'moco_v3',
        'temperature': 0.2,
        'momentum': {'name': 'cosine', 'start': 0.99, 'end': 1.0},
      },
      'head': {'name': 'moco_v3', 'num_layers': 3},
      'encoder': {
        'name': 'vit_s16',
        'num_heads': 12,
        'position': 'sincos_moco',
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'byol', 'size': 224, 'scale': (0.08, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 1.5e-4,
          'warmup_epochs': 40,
        },
        'weight_decay': 0.1,
        'rules': ({'match': 'patch_embed', 'freeze_steps': -1},),
      },
      'train': {'epochs': 300, 'batch_size': 4096},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
