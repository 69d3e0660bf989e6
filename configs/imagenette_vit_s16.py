"""Imagenette, ViT-S/16, 200 epochs: any method, beside stable-pretraining.

    jaxssl train --config imagenette_vit_s16:dino --workdir runs/dino
    jaxssl eval knn linear --workdir runs/dino --test_split validation

What stable-pretraining reports of these recipes, without a search for better
ones (galilai-group/stable-pretraining `d15ec96d`,
benchmarks/imagenet10/RESULTS.md): top-1 in per cent by 20 nearest neighbours
and by a linear classifier that is trained along, on the validation images.

    method        kNN   linear     method    kNN   linear
    barlow_twins  81.2  83.0       moco_v3   82.6  84.7
    byol          56.0  63.9       msn       50.6  57.6
    data2vec      31.0  26.3       nnclr     75.6  80.2
    dino          83.8  86.1       simclr    73.3  74.9
    ibot          43.3  57.9       simmim    30.9  22.5
    ijepa         33.2  34.0       simsiam   54.9  62.8
    lejepa        85.4  87.1       swav      86.4  89.7
    mae           72.1  84.1       vicreg    75.0  79.4
    maskfeat      27.8  25.6       wmse      16.9  15.9
    moco_v2       70.0  70.8

Its figures of DINOv2 are of a run that had not ended; those of BEiT, of a
tokenizer that is random; its DINOv3 is DINOv2 with registers, not Gram
anchoring.

The numbers are those of the scripts beside that file: AdamW or LARS, a warm-up
of a hundredth of the run and a cosine to 0, batch 256, or 128 with crops of
several sizes or hidden patches. RESULTS.md says AdamW of BYOL, its script LARS,
and so does this file. The script of LeJEPA has 600 epochs, the table 200.
Differs: our linear classifier is trained after the run; features of MAE are the
class token, theirs the mean of the patches; masks, the heads' widths behind the
first layer and the warm-up of DINO's and iBOT's teacher (a line from 0.04 to
0.07 over the run, theirs over 10 epochs) are those of the methods here; iBOT's
head is one for crops and patches, theirs are two; positions and LayerScale of
SimMIM and data2vec are those of their papers.

beit, colorization, dcl, dinov2, dinov3, distillation, jigsaw, moco_v1,
relative_patch, rotation and supervised: the defaults of `--method`, for as many
epochs, with 8192 prototypes. dinov3 is a stage that wants trained weights
(`--config.train.init_encoder=RUN`); distillation needs a trained teacher
(`--config.method.teacher=WORKDIR`), beit a discrete VAE
(`--config.method.tokenizer=RUN/export`).

Data: `imagenette/full-size-v2` as TFDS prepares it (array_record for fast
random access).
Hardware: stable-pretraining's took one A100; hours not measured.
Measured: not run.
"""

from typing import Any

from jaxssl.comparison import Comparison


def adamw(rate: float, **keys: Any) -> dict[str, Any]:
  """Returns the optimizer of most methods."""
  return {
    'name': 'adamw',
    'learning_rate': schedule(rate),
    'lr_scaling': 'none',
    'weight_decay': 0.05,
    'exclude': 'ndim<=1',
    'b2': 0.95,
    **keys,
  }


def lars(rate: float, weight_decay: float) -> dict[str, Any]:
  """Returns the optimizer of SimCLR, BYOL and VICReg."""
  return {
    'name': 'larc',
    'learning_rate': schedule(rate),
    'lr_scaling': 'none',
    'weight_decay': weight_decay,
    'trust_coefficient': 0.02,
    'clip': True,
    'exclude': 'ndim<=1',
  }


def schedule(
  rate: float, end: float = 0.0, warmup_epochs: float = 2.0
) -> dict[str, Any]:
  """Returns a cosine after a warm-up from a hundredth of the rate."""
  return {
    'name': 'cosine',
    'start': rate,
    'end': end,
    'warmup_start': rate / 100,
    'warmup_epochs': warmup_epochs,
  }


# Two views of the script two_view.py are BYOL's.
VIEWS = {'name': 'byol'}
# The views of multicrop.py have LeJEPA's colours, in DINO's crops.
CROPS = {
  'name': 'lejepa',
  'local_size': 96,
  'num_local': 6,
  'scale': (0.4, 1.0),
  'local_scale': (0.05, 0.4),
}
HALF = {'batch_size': 128}
SOFTER = {'name': 'linear', 'start': 0.04, 'end': 0.07}

COMPARISON = Comparison(
  shared={
    'encoder': {'name': 'vit_s16', 'dtype': 'bfloat16'},
    'augment': {'size': 224},
    'data': {'name': 'imagenette/full-size-v2'},
    'input': {'crop': 'host', 'image_size': 224},
    'train': {'epochs': 200, 'batch_size': 256},
    'eval': {'steps': 500, 'split': 'validation'},
  },
  needed={
    'beit': {'tokenizer': 'runs/dvae/export'},
    'distillation': {'teacher': 'runs/teacher'},
    'supervised': {'num_classes': 10},
  },
  recipes={
    'barlow_twins': {
      'head': {'name': 'barlow_twins', 'hidden_dim': 2048, 'out_dim': 2048},
      'augment': VIEWS,
      'optim': adamw(5e-4),
    },
    'beit': {'train': HALF},
    'byol': {
      'method': {'momentum': {'name': 'cosine', 'start': 0.99, 'end': 1.0}},
      'head': {'name': 'byol', 'hidden_dim': 4096, 'out_dim': 256},
      'augment': VIEWS,
      'optim': lars(0.5, 1e-6),
    },
    'data2vec': {
      'method': {
        'momentum': {'name': 'cosine', 'start': 0.9998, 'end': 1.0},
      },
      'augment': {'name': 'crop_flip', 'scale': (0.2, 1.0)},
      'optim': adamw(1.5e-3, b2=0.98),
      'train': HALF,
    },
    'dino': {
      'method': {'teacher_temperature': SOFTER},
      'augment': CROPS,
      'optim': adamw(5e-4),
      'train': HALF,
    },
    'dinov2': {'head': {'name': 'dinov2', 'out_dim': 8192}, 'train': HALF},
    'dinov3': {'head': {'name': 'dinov3', 'out_dim': 8192}, 'train': HALF},
    'ibot': {
      'method': {
        'teacher_temperature': SOFTER,
        'patch_temperature': SOFTER,
      },
      'head': {'name': 'ibot', 'out_dim': 8192},
      'augment': {**CROPS, 'num_local': 0},
      'optim': adamw(5e-4),
      'train': HALF,
    },
    'ijepa': {
      'method': {
        'predictor_dim': 384,
        'predictor_depth': 12,
        'momentum': {'name': 'cosine', 'start': 0.996, 'end': 1.0},
      },
      'optim': adamw(
        1e-3, weight_decay=0.04, learning_rate=schedule(1e-3, end=6e-5)
      ),
      'train': {'batch_size': 64},
    },
    'lejepa': {
      'method': {'regularization': 0.02},
      'augment': {**CROPS, 'scale': (0.3, 1.0), 'local_scale': (0.05, 0.3)},
      'optim': adamw(
        4e-4, b2=0.999, learning_rate=schedule(4e-4, 4e-7, warmup_epochs=10)
      ),
      'train': HALF,
    },
    'mae': {
      'method': {'decoder_dim': 384, 'decoder_depth': 4, 'decoder_heads': 6},
      'optim': adamw(5e-4, learning_rate=schedule(5e-4, end=5e-5)),
      'train': HALF,
    },
    'maskfeat': {
      'augment': {'name': 'crop_flip', 'scale': (0.2, 1.0)},
      'optim': adamw(2e-3, b2=0.999),
      'train': HALF,
    },
    # A queue of fewer pictures than there are.
    'moco_v1': {'method': {'momentum': 0.99, 'queue_size': 8192}},
    'moco_v2': {
      'method': {'queue_size': 8192},
      'augment': VIEWS,
      'optim': adamw(1.5e-4, weight_decay=0.1),
    },
    'moco_v3': {
      'augment': VIEWS,
      'optim': adamw(1.5e-4, weight_decay=0.1),
    },
    'msn': {
      'method': {'mask_ratio': 0.6},
      'augment': VIEWS,
      'optim': adamw(5e-4),
    },
    'nnclr': {
      'method': {'queue_size': 8192},
      'head': {'name': 'nnclr', 'num_layers': 2},
      'augment': VIEWS,
      'optim': adamw(1e-3),
    },
    'simclr': {
      'method': {'temperature': 0.2},
      'head': {'name': 'simclr', 'out_dim': 256},
      'augment': VIEWS,
      'optim': lars(0.3, 1e-4),
    },
    'simmim': {
      'augment': {'name': 'crop_flip', 'scale': (0.2, 1.0)},
      'optim': adamw(1e-3, b2=0.999),
      'train': HALF,
    },
    'simsiam': {
      'augment': VIEWS,
      'optim': {
        'name': 'sgd',
        'learning_rate': schedule(0.05),
        'lr_scaling': 'none',
        'weight_decay': 1e-4,
        'exclude': 'ndim<=1',
      },
    },
    'swav': {
      'augment': {**CROPS, 'num_local': 4},
      'optim': adamw(5e-4),
      'train': HALF,
    },
    'vicreg': {
      'head': {'name': 'vicreg', 'hidden_dim': 2048, 'out_dim': 2048},
      'augment': VIEWS,
      'optim': lars(0.3, 1e-4),
    },
    'wmse': {
      'augment': VIEWS,
      'optim': adamw(2e-3, weight_decay=1e-6),
    },
  },
)
ARGUMENTS = COMPARISON.methods


def get_config(method: str) -> dict[str, Any]:
  """Returns the config of a method."""
  return COMPARISON.config(method)
