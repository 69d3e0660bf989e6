"""Jigsaw, ImageNet, 35 epochs, ResNet-50 of double width.

Papers: Noroozi and Favaro 2016, https://arxiv.org/abs/1603.09246 (the task);
Kolesnikov et al. 2019, https://arxiv.org/abs/1901.09005 (network, schedule,
eight permutations an image; the numbers are those of
google/revisiting-self-supervised). Deviations: no warm-up, no dropout in the
head, channels shifted as Noroozi and Favaro do.

    jaxssl train --config configs/jigsaw_resnet50_imagenet.py --workdir runs/in

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Cost: 1152 tiles of 64 pixels a step, 350,000 steps; hours not measured.
Arithmetic (`jaxssl plan`): 69.2 GFLOP an image, 2.2 H100 hours at 40 % of peak.
Expected: about 44.6 % linear, as later papers quote Kolesnikov et al.; they
average the features of nine tiles, the evaluations here see whole images.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'jigsaw',
        'num_permutations': 100,
        'permutations_per_image': 8,
        'patch_size': 64,
        'channel_shift': 2,
      },
      'encoder': {'name': 'resnet50', 'width': 2.0, 'dtype': 'bfloat16'},
      'augment': {'name': 'patches', 'size': 255, 'gray_prob': 0.66},
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
