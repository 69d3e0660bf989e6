"""ImageNet-100, ResNet-18, 400 epochs: any method, beside solo-learn.

    jaxssl train --config imagenet100_resnet18:byol --workdir runs/byol \\
        --config.data.path=FOLDER
    jaxssl eval linear --workdir runs/byol

What solo-learn reports of these recipes (vturrisi/solo-learn `9187ea3`,
README): top-1 in per cent of a linear classifier on frozen features, and of one
that is trained along, on the validation images.

    method        frozen  along     method    frozen  along
    barlow_twins  80.16   80.38     simclr    none    77.64
    byol          80.32   80.16     simsiam   78.72   74.54
    dino          74.92   74.84     swav      74.28   74.04
    moco_v2       79.28   78.20     vicreg    79.40   79.22
    moco_v3       80.36   80.36     wmse      69.06   67.60
    nnclr         80.16   79.80

Their numbers are those of scripts/pretrain/imagenet-100, which have batch 256
on two GPUs: LARS or SGD, 10 epochs of warm-up, a cosine to 0. moco_v2 is their
MoCo V2+. Differs: MoCo's loss takes one direction, theirs both, and its head is
as wide as the features, theirs 2048; the heads of SimCLR are as wide as the
features and end in BatchNorm, theirs is 4096 wide and does not; BYOL's
predictor is 4096 wide, theirs 8192; VICReg's views are one blurred and one
solarized, theirs alike; W-MSE has two views of 224 pixels, theirs
six small ones besides; Adam's decay is decoupled.

colorization, dcl, distillation, jigsaw, lejepa, moco_v1, relative_patch,
rotation and supervised are not in it: the defaults of `--method`, for as many
epochs of the same batch. distillation needs a trained teacher,
`--config.method.teacher=WORKDIR`.

Data: a folder with `train` and `val`, and in each a folder for each of the 100
classes of ImageNet, as in Tian et al. 2019, https://arxiv.org/abs/1906.05849.
Hardware: one GPU for batch 256 of a ResNet-18; hours not measured.
Measured: not run.
"""

from typing import Any

from jaxssl.comparison import Comparison

WARMUP = {'name': 'cosine', 'warmup_epochs': 10, 'warmup_start': 3e-5}


def lars(rate: float, weight_decay: float, **keys: Any) -> dict[str, Any]:
  """Returns the optimizer of most methods."""
  return {
    'name': 'larc',
    'learning_rate': {**WARMUP, 'start': rate},
    'weight_decay': weight_decay,
    'trust_coefficient': 0.02,
    'clip': True,
    'exclude': 'ndim<=1',
    **keys,
  }


def sgd(rate: float, weight_decay: float) -> dict[str, Any]:
  """Returns the optimizer of MoCo and SimSiam."""
  return {
    'name': 'sgd',
    'learning_rate': {**WARMUP, 'start': rate},
    'weight_decay': weight_decay,
  }


BYOL_VIEWS = {'name': 'byol'}
TO_ONE = {'name': 'cosine', 'end': 1.0}

COMPARISON = Comparison(
  shared={
    'encoder': {'name': 'resnet18', 'dtype': 'bfloat16'},
    'augment': {'size': 224},
    'data': {'name': 'folder', 'path': 'imagenet100'},
    'input': {'crop': 'host', 'image_size': 224},
    'train': {'epochs': 400, 'batch_size': 256},
    'eval': {'steps': 5000},
  },
  needed={
    'distillation': {'teacher': 'runs/teacher'},
    'supervised': {'num_classes': 100},
  },
  recipes={
    'barlow_twins': {
      'method': {'off_diagonal': 0.005},
      'head': {'name': 'barlow_twins', 'hidden_dim': 2048, 'out_dim': 2048},
      'augment': BYOL_VIEWS,
      # Their loss is a tenth of ours: to LARS it is the same, but what LARS
      # leaves out has a tenth of the rate.
      'optim': lars(
        0.3,
        1e-4,
        rules=({'match': '(bias|scale)$', 'learning_rate': 0.1},),
      ),
    },
    'byol': {
      'method': {'momentum': {**TO_ONE, 'start': 0.99}},
      'head': {'name': 'byol', 'hidden_dim': 4096, 'out_dim': 256},
      'augment': BYOL_VIEWS,
      'optim': lars(0.5, 1e-6),
    },
    'dino': {
      'method': {
        'teacher_temperature': 0.07,
        'momentum': {**TO_ONE, 'start': 0.9995},
      },
      'head': {'name': 'dino', 'out_dim': 4096},
      'augment': BYOL_VIEWS,
      'optim': lars(
        0.3,
        1e-6,
        rules=({'match': 'head/last_layer', 'freeze_epochs': 1},),
      ),
    },
    'moco_v2': {
      'method': {'momentum': {**TO_ONE, 'start': 0.99, 'end': 0.999}},
      'head': {'name': 'moco_v2', 'out_dim': 256},
      'augment': {'name': 'moco_v2', 'scale': (0.08, 1.0)},
      'optim': sgd(0.3, 1e-4),
    },
    'moco_v3': {
      'method': {'predictor_last_bn': False},
      'head': {'name': 'moco_v3', 'num_layers': 2},
      'augment': BYOL_VIEWS,
      'optim': lars(0.3, 1e-6),
    },
    'nnclr': {
      'method': {'temperature': 0.2, 'queue_size': 65536},
      'augment': BYOL_VIEWS,
      'optim': lars(0.4, 1e-5),
    },
    'simclr': {
      'method': {'temperature': 0.2},
      'head': {'name': 'simclr', 'num_layers': 2, 'out_dim': 512},
      'augment': {'name': 'simclr'},
      'optim': lars(0.3, 1e-4),
    },
    'simsiam': {
      'augment': BYOL_VIEWS,
      'optim': sgd(0.5, 1e-5),
    },
    'swav': {
      'method': {'queue_size': 3840, 'queue_start': 50 * 495},
      'augment': {'name': 'swav', 'num_local': 0, 'scale': (0.08, 1.0)},
      'optim': lars(
        0.6,
        1e-6,
        rules=({'match': 'prototypes', 'freeze_epochs': 2},),
      ),
    },
    'vicreg': {
      'head': {'name': 'vicreg', 'hidden_dim': 2048, 'out_dim': 2048},
      'augment': {**BYOL_VIEWS, 'scale': (0.2, 1.0)},
      'optim': lars(0.3, 1e-4),
    },
    'wmse': {
      'method': {'group': 128},
      'augment': {'name': 'simclr', 'scale': (0.2, 1.0), 'blur_prob': 0.2},
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
