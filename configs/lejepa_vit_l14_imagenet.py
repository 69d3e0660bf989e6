"""LeJEPA, ViT-L/14, ImageNet, 100 epochs, 2 + 6 crops.

Paper: Balestriero and LeCun 2025, https://arxiv.org/abs/2511.08544; settings of
the README of rbalestr-lab/lejepa, which does not tell the batch nor the width
of the projection: both are ours.

    jaxssl train --config lejepa_vit_l14_imagenet --workdir runs/lejepa

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 8 to 32 accelerators in bfloat16; hours not measured.
Expected: features that reach 79.5 % on average over eight sets with all labels
(the authors' README, ViT-L); 79 % linear on ImageNet with a ViT-H/14 (paper).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'lejepa', 'regularization': 0.05},
      'head': {'name': 'lejepa', 'hidden_dim': 2048, 'out_dim': 128},
      'encoder': {'name': 'vit_l14', 'dtype': 'bfloat16'},
      'augment': {'name': 'lejepa', 'size': 224, 'local_size': 98},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': 5e-4,
          'end': 5e-7,
          'warmup_epochs': 10,
        },
        'lr_scaling': 'none',
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
      },
      'train': {'epochs': 100, 'batch_size': 1024},
      'eval': {'steps': 10000, 'split': 'validation'},
    }
  )
