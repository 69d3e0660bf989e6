"""MAE, ViT-B/16, ImageNet, 1600 epochs at batch 4096.

Paper: He et al. 2021, https://arxiv.org/abs/2111.06377; optimizer settings of
PRETRAIN.md and main_pretrain.py of facebookresearch/mae.

    jaxssl train --config configs/mae_vit_b16_imagenet.py --workdir runs/mae

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 32 to 64 accelerators at batch 4096 in bfloat16; hours not measured.
Arithmetic (`jaxssl plan`): 58.5 GFLOP an image, 84 H100 hours at 40 % of peak.
Expected: 83.6 % fine-tuned, 68.0 % linear on the class token (BatchNorm before
the classifier); nearest neighbours are poor by nature (paper, 1600 epochs).
ViT-L: `--config.encoder.name=vit_l16`, 85.9 % fine-tuned, 75.8 % linear.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'mae', 'mask_ratio': 0.75},
      'encoder': {
        'name': 'vit_b16',
        'position': 'sincos_mae',
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'mae', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 1.5e-4,
          'warmup_epochs': 40,
        },
        'b2': 0.95,
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 1600, 'batch_size': 4096},
      'eval': {'steps': 10000, 'split': 'validation'},
    }
  )
