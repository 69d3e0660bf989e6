"""CIFAR-10, ResNet-18, 200 epochs at batch 128: any method, beside lightly.

    jaxssl train --config cifar10_resnet18:byol --workdir runs/byol
    jaxssl eval knn --workdir runs/byol --ks 200 --temperature 0.1

What lightly's benchmark of CIFAR-10 reports of these recipes
(lightly-ai/lightly `e8d317fc`, docs/source/getting_started/benchmarks.rst,
batch 128): top-1 by 200 nearest neighbours, the best of all epochs, on the test
images.

    method        kNN     method        kNN
    barlow_twins  0.842   moco_v2       0.838
    byol          0.869   nnclr         0.834
    dcl           0.844   simclr        0.847
    dino          0.840   simsiam       0.819
                          swav          0.812

Their numbers are those of cifar10_benchmark.py beside that page: SGD without
warm-up, the rate constant in an epoch; small heads; no blur. Differs: ours is
the last epoch; MoCo's loss takes one direction, theirs both; SwAV's decay is
decoupled, theirs is Adam's penalty; crops and the jitter of BYOL and Barlow
Twins are those of BYOL's paper.

solo-learn has three methods more (vturrisi/solo-learn `9187ea3`, README and
scripts/pretrain/cifar): a linear classifier after 1000 epochs at batch 256.

    moco_v3  93.10    vicreg  92.07    wmse  88.67

Their recipes stand here with 200 epochs and their rule for the rate of a
smaller batch. Differs: solarize in one view of VICReg's, with twice the
probability; W-MSE's decay is decoupled.

colorization, distillation, jigsaw, lejepa, moco_v1, relative_patch, rotation
and supervised are published by neither: the defaults of `--method`, for as many
epochs of the same batch. distillation needs a trained teacher,
`--config.method.teacher=WORKDIR`.

Hardware: lightly's took 97 to 376 minutes each on an RTX A6000; ours not
measured.
Measured: not run.
"""

from typing import Any

from jaxssl.comparison import Comparison

# SimCLR's views on CIFAR-10 in torchvision's arithmetic: moco_v2's, sharp.
VIEWS = {'name': 'moco_v2', 'scale': (0.08, 1.0), 'blur_prob': 0.0}
BYOL_VIEWS = {'name': 'byol', 'use_blur': False}
# lightly's optimizer of all methods but SwAV.
SGD = {
  'name': 'sgd',
  'learning_rate': {'name': 'cosine', 'start': 0.06, 'convention': 'epoch'},
  'lr_scaling': 'none',
  'weight_decay': 5e-4,
}
# solo-learn's.
WARMUP = {'name': 'cosine', 'warmup_epochs': 10, 'warmup_start': 3e-5}
LARS = {
  'name': 'larc',
  'learning_rate': {**WARMUP, 'start': 0.3},
  'trust_coefficient': 0.02,
  'clip': True,
  'exclude': 'ndim<=1',
}

COMPARISON = Comparison(
  shared={
    'encoder': {'name': 'resnet18', 'stem': 'cifar'},
    'augment': {'size': 32},
    'data': {'name': 'cifar10'},
    'input': {'crop': 'device', 'image_size': 32},
    'train': {'epochs': 200, 'batch_size': 128},
    'eval': {'steps': 4000},
  },
  needed={
    'distillation': {'teacher': 'runs/teacher'},
    'supervised': {'num_classes': 10},
  },
  recipes={
    'barlow_twins': {
      'method': {'off_diagonal': 0.005},
      'head': {
        'name': 'barlow_twins',
        'num_layers': 2,
        'hidden_dim': 2048,
        'out_dim': 2048,
      },
      'augment': BYOL_VIEWS,
      'optim': SGD,
    },
    'byol': {
      'method': {'momentum': 0.99},
      'head': {'name': 'byol', 'hidden_dim': 1024, 'out_dim': 256},
      'augment': BYOL_VIEWS,
      'optim': SGD,
    },
    'dcl': {
      'method': {'temperature': 0.1},
      'head': {'name': 'dcl', 'num_layers': 2},
      'augment': VIEWS,
      'optim': SGD,
    },
    'dino': {
      'method': {'momentum': 0.99},
      'head': {
        'name': 'dino',
        'num_layers': 2,
        'out_dim': 2048,
        'use_bn': True,
      },
      'augment': {'name': 'dino', 'num_local': 0, 'use_blur': False},
      'optim': SGD,
    },
    'moco_v2': {
      'method': {'temperature': 0.1, 'momentum': 0.99, 'queue_size': 4096},
      'augment': VIEWS,
      'optim': SGD,
    },
    'moco_v3': {
      'method': {'predictor_last_bn': False},
      'head': {'name': 'moco_v3', 'num_layers': 2},
      'augment': BYOL_VIEWS,
      'optim': {**LARS, 'weight_decay': 1e-6},
    },
    'nnclr': {
      'method': {
        'temperature': 0.5,
        'queue_size': 4096,
        'predictor_dim': 4096,
      },
      'head': {'name': 'nnclr', 'num_layers': 2},
      'augment': VIEWS,
      'optim': SGD,
    },
    'simclr': {
      'method': {'temperature': 0.5},
      'head': {'name': 'simclr', 'num_layers': 2},
      'augment': VIEWS,
      'optim': SGD,
    },
    'simsiam': {
      'method': {'predictor_dim': 512},
      'head': {'name': 'simsiam', 'num_layers': 2},
      'augment': {**VIEWS, 'scale': (0.2, 1.0)},
      'optim': SGD,
    },
    'swav': {
      'method': {'num_prototypes': 512},
      'head': {'name': 'swav', 'hidden_dim': 512},
      'augment': {**VIEWS, 'scale': (0.14, 1.0)},
      'optim': {
        'name': 'adamw',
        'learning_rate': {**SGD['learning_rate'], 'start': 1e-3},
        'lr_scaling': 'none',
        'weight_decay': 1e-6,
      },
    },
    'vicreg': {
      'head': {'name': 'vicreg', 'hidden_dim': 2048, 'out_dim': 2048},
      'augment': {**BYOL_VIEWS, 'scale': (0.2, 1.0)},
      'optim': {**LARS, 'weight_decay': 1e-4},
    },
    'wmse': {
      'method': {'group': 128},
      'head': {'name': 'wmse'},
      'augment': {
        'name': 'simclr_cifar',
        'strength': 1.0,
        'scale': (0.2, 1.0),
      },
      'optim': {
        'name': 'adamw',
        'learning_rate': {**WARMUP, 'start': 2e-3, 'warmup_start': 0.0},
        'weight_decay': 1e-6,
      },
    },
  },
)
ARGUMENTS = COMPARISON.methods


def get_config(method: str) -> dict[str, Any]:
  """Returns the config of a method."""
  return COMPARISON.config(method)
