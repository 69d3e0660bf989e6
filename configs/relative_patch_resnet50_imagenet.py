"""Relative patch location, ImageNet, 35 epochs, ResNet-50 of double width.

Papers: Doersch et al. 2015, https://arxiv.org/abs/1505.05192 (the task);
Kolesnikov et al. 2019, https://arxiv.org/abs/1901.09005 (network, schedule; the
numbers are those of google/revisiting-self-supervised). Deviations: one pair in
both orders an image instead of eight pairs, colour channels dropped as Doersch
et al. do instead of gray images, no warm-up.

    jaxssl train --config configs/relative_patch_resnet50_imagenet.py \\
      --workdir runs/in

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Cost: 256 patches of 64 pixels a step, 350,000 steps; hours not measured.
Arithmetic (`jaxssl plan`): 15.1 GFLOP an image, 0.5 H100 hours at 40 % of peak.
Expected: about 51.4 % linear with eight pairs an image, as later papers quote
Kolesnikov et al.; not published for this variant.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'relative_patch',
        'patch_size': 64,
        'gap': 21,
        'jitter': 10,
      },
      'encoder': {'name': 'resnet50', 'width': 2.0, 'dtype': 'bfloat16'},
      'augment': {'name': 'patches', 'size': 255},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'sgd',
        'momentum': 0.9,
        'learning_rate': {
          'name': 'piecewise',
          'start': 0.1,
          'factor': 0.1,
          'boundary_epochs': (15, 25),
        },
        'lr_scaling': 'linear',
        'weight_decay': 1e-4,
      },
      'train': {'epochs': 35, 'batch_size': 128},
      'eval': {'steps': 10000, 'split': 'validation'},
    }
  )
