"""SwAV, ResNet-50, ImageNet, 800 epochs at batch 4096, 2 + 6 crops.

Paper: Caron et al. 2020, https://arxiv.org/abs/2006.09882; settings of
scripts/swav_800ep_pretrain.sh of facebookresearch/swav. For a batch of 256 the
authors have rate 0.6 to 0.0006 without warm-up, frozen prototypes for one
epoch, and `queue_size` 3840 from epoch 15 on (72.7 after 200 epochs).

    jaxssl train --config swav_resnet50_imagenet --workdir runs/swav

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: 64 GPUs in the paper; hours not measured here.
Expected: 75.3 % linear accuracy (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'swav',
        'num_prototypes': 3000,
        'temperature': 0.1,
        'epsilon': 0.05,
      },
      'head': {'name': 'swav', 'hidden_dim': 2048, 'out_dim': 128},
      'encoder': {'name': 'resnet50', 'dtype': 'bfloat16'},
      'augment': {'name': 'swav', 'size': 224, 'local_size': 96},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'larc',
        'learning_rate': {
          'name': 'cosine',
          'start': 4.8,
          'end': 0.0048,
          'warmup_epochs': 10,
          'warmup_start': 0.3,
          'convention': 'linspace',
        },
        'lr_scaling': 'none',
        'weight_decay': 1e-6,
        'rules': ({'match': 'prototypes', 'freeze_epochs': 1},),
      },
      'train': {'epochs': 800, 'batch_size': 4096},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
