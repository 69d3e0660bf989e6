"""Rotation, ImageNet, 50 epochs: the authors' schedule with a ResNet-50.

Paper: Gidaris et al. 2018, https://arxiv.org/abs/1803.07728; the numbers are
those of gidariss/FeatureLearningRotNet for ImageNet. Deviation: ResNet-50
instead of AlexNet with BatchNorm.

    jaxssl train --config configs/rotation_resnet50_imagenet.py --workdir runs/r

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Cost: 768 images of 224 pixels a step, 334,000 steps; hours not measured.
Arithmetic (`jaxssl plan`): 95.8 GFLOP an image, 4.3 H100 hours at 40 % of peak.
Expected: not published for this network. The authors' AlexNet: 38.7 % (linear,
third convolution). A RevNet-50 four times as wide: 55.4 % linear (Kolesnikov
et al. 2019, https://arxiv.org/abs/1901.09005, another schedule).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'rotation'},
      'encoder': {'name': 'resnet50', 'dtype': 'bfloat16'},
      'augment': {'name': 'crop_flip', 'size': 224, 'scale': (0.08, 1.0)},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'sgd',
        'momentum': 0.9,
        'nesterov': True,
        'learning_rate': {
          'name': 'piecewise',
          'start': 0.01,
          'factor': 0.1,
          'boundary_epochs': (15, 30, 45),
        },
        'lr_scaling': 'none',
        'weight_decay': 5e-4,
      },
      'train': {'epochs': 50, 'batch_size': 192},
      'eval': {'steps': 10000, 'split': 'validation'},
    }
  )
