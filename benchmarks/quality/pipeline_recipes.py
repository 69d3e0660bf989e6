"""What both sides of the quality benchmark train: a recipe per method."""

import dataclasses
from typing import Any, Literal

SIZE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """One training run, in numbers that both sides read.

  Attributes:
    encoder: a ResNet-18 of width 1/4, or a small ViT.
    crops: side, and smallest and largest area, of each view.
    color: colour jitter of strength 0.5 and random gray, as SimCLR on CIFAR.
    head: sizes of the head.
    method: hyperparameters of the method.
    optimizer: SGD with momentum 0.9, or AdamW with (0.9, 0.95), which does not
      decay tensors of one dimension.
    learning_rate: at the start of a cosine without warm-up.
    weight_decay: of the optimizer.
    steps: optimizer steps.
    batch: images per step.
  """

  encoder: Literal['resnet', 'vit'] = 'resnet'
  crops: tuple[tuple[int, float, float], ...] = ((SIZE, 0.08, 1.0),) * 2
  color: bool = True
  head: dict[str, int] = dataclasses.field(default_factory=dict)
  method: dict[str, Any] = dataclasses.field(default_factory=dict)
  optimizer: Literal['sgd', 'adamw'] = 'sgd'
  learning_rate: float = 0.06
  weight_decay: float = 5e-4
  steps: int = 300
  batch: int = 128


WIDTH = 0.25
# timm's names; jaxssl calls `embed_dim` `dim`.
VIT = {'patch_size': 4, 'embed_dim': 96, 'depth': 4, 'num_heads': 3}
ADAMW = {'optimizer': 'adamw', 'learning_rate': 2e-3, 'weight_decay': 0.05}

RECIPES = {
  'simclr': Recipe(
    head={'num_layers': 2}, method={'temperature': 0.2}, **ADAMW
  ),
  'moco_v2': Recipe(
    head={'out_dim': 128},
    method={'temperature': 0.2, 'momentum': 0.99, 'queue_size': 1024},
    **ADAMW,
  ),
  'dino': Recipe(
    crops=((SIZE, 0.4, 1.0),) * 2 + ((SIZE // 2, 0.1, 0.4),) * 2,
    head={'hidden_dim': 256, 'bottleneck_dim': 64, 'out_dim': 512},
    method={'teacher_temperature': 0.04, 'momentum': 0.98},
    **ADAMW,
  ),
  'mae': Recipe(
    encoder='vit',
    crops=((SIZE, 0.2, 1.0),),
    color=False,
    method={
      'mask_ratio': 0.75,
      'decoder_dim': 64,
      'decoder_depth': 2,
      'decoder_heads': 2,
    },
    **ADAMW,
  ),
}
