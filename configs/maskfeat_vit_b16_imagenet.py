"""MaskFeat, ViT-B/16, ImageNet, 1600 epochs at batch 2048.

Paper: Wei et al. 2021, https://arxiv.org/abs/2112.09133; settings of
configs/masked_ssl/in1k_VIT_B_MaskFeat_PT.yaml of facebookresearch/SlowFast,
with the epochs of the weights that it was released with, and a batch that its
rule for the rate allows.

    jaxssl train --config maskfeat_vit_b16_imagenet --workdir runs/maskfeat

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 16 accelerators in bfloat16; hours not measured.
Expected: 84.0 % fine-tuned (the authors' README); nearest neighbours are poor.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'maskfeat', 'num_masked': 78},
      'encoder': {
        'name': 'vit_b16',
        'use_mask_token': True,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'crop_flip', 'size': 224, 'scale': (0.5, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        # 2e-4 for 256 images.
        'learning_rate': {
          'name': 'cosine',
          'warmup_start': 1e-6,
          'start': 2e-4,
          'end': 1e-6,
          'warmup_epochs': 30,
        },
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
        'clip_norm': 0.02,
      },
      'train': {'epochs': 1600, 'batch_size': 2048},
      'eval': {'steps': 12500, 'split': 'validation'},
    }
  )
