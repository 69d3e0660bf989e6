"""Colorization, ImageNet, 500,000 steps: the authors' schedule, ResNet-50.

Paper: Zhang et al. 2016, https://arxiv.org/abs/1603.08511; the numbers are
those of richzhang/colorization. Deviations: ResNet-50 with a decoder from
stride 32 to 4 instead of their network of stride 8; views of 192 pixels, which
it divides, instead of 176; weight decay outside of Adam.

    jaxssl train --config configs/colorization_resnet50_imagenet.py \\
      --workdir runs/in

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Cost: 40 images of 192 pixels a step; hours not measured.
Arithmetic (`jaxssl plan`): 29.8 GFLOP an image, 0.4 H100 hours at 40 % of peak.
Expected: not published for this network. The authors' AlexNet: 40.7 %
(non-linear classifier on the fourth convolution, as later papers quote it).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'colorization'},
      'encoder': {'name': 'resnet50', 'dtype': 'bfloat16'},
      'augment': {'name': 'colorization', 'size': 192},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 192},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'piecewise',
          'start': 3e-5,
          'factor': 0.1,
          'boundary_steps': (225_000, 450_000),
        },
        'lr_scaling': 'none',
        'b1': 0.9,
        'b2': 0.99,
        'weight_decay': 1e-3,
      },
      'train': {'steps': 500_000, 'batch_size': 40},
      'eval': {'steps': 50_000, 'split': 'validation'},
    }
  )
