"""SimSiam, ResNet-50, ImageNet, 100 epochs at batch 512.

Paper: Chen and He 2021, https://arxiv.org/abs/2011.10566 (section 3); settings
of main_simsiam.py in facebookresearch/simsiam.

    jaxssl train --config simsiam_resnet50_imagenet --workdir runs/simsiam

Differs: the predictor's learning rate falls with the others, as in the paper's
baseline. With `--fix-pred-lr`, which their README's command has, it stays.

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 8 GPUs of 32 GB, or more with less memory; hours not measured.
Arithmetic (`jaxssl plan`): 47.5 GFLOP an image, 4.3 H100 hours at 40 % of peak.
Expected: 67.7 % linear accuracy (paper, table 1; 68.1 % with a rate of the
predictor that stays).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'simsiam'},
      'head': {'name': 'simsiam'},
      'encoder': {
        'name': 'resnet50',
        'zero_init_residual': True,
        'dtype': 'bfloat16',
      },
      'augment': {'name': 'moco_v2', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'sgd',
        'learning_rate': {
          'name': 'cosine',
          # For batch 256.
          'start': 0.05,
          'convention': 'epoch',
        },
        'weight_decay': 1e-4,
      },
      'train': {'epochs': 100, 'batch_size': 512},
      'eval': {'steps': 12500, 'split': 'validation'},
    }
  )
