"""The networks of the speed benchmark, by names of jaxssl and of timm."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
  """One SimCLR training step.

  Attributes:
    encoder: name of the encoder in jaxssl.
    options: its keyword arguments.
    timm: name of the same model in timm.
    timm_options: keyword arguments of `timm.create_model`.
    size: side of the views.
    batch: images; the network sees two views of each.
    optimizer: 'sgd' (momentum 0.9) or 'adamw'.
  """

  encoder: str
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  timm: str
  timm_options: dict[str, Any] = dataclasses.field(default_factory=dict)
  size: int
  batch: int
  optimizer: str


# On a CPU, in float32, beside PyTorch.
CPU = {
  'quickstart': Workload(
    encoder='resnet18',
    options={'stem': 'cifar', 'width': 0.25},
    timm='resnet18',
    timm_options={'channels': (16, 32, 64, 128)},
    size=32,
    batch=64,
    optimizer='adamw',
  ),
  'resnet18_32': Workload(
    encoder='resnet18',
    options={'stem': 'cifar'},
    timm='resnet18',
    size=32,
    batch=128,
    optimizer='sgd',
  ),
  'resnet50_64': Workload(
    encoder='resnet50', timm='resnet50', size=64, batch=32, optimizer='sgd'
  ),
  'vit_ti4_32': Workload(
    encoder='vit_ti4',
    timm='vit_tiny_patch16_224',
    timm_options={'img_size': 32, 'patch_size': 4},
    size=32,
    batch=128,
    optimizer='adamw',
  ),
  'vit_s16_96': Workload(
    encoder='vit_s16',
    timm='vit_small_patch16_224',
    timm_options={'img_size': 96},
    size=96,
    batch=32,
    optimizer='adamw',
  ),
}

# On a GPU, in bfloat16, against the peak of the card.
GPU = {
  'resnet50_224': Workload(
    encoder='resnet50', timm='resnet50', size=224, batch=256, optimizer='sgd'
  ),
  'vit_s16_224': Workload(
    encoder='vit_s16',
    timm='vit_small_patch16_224',
    size=224,
    batch=256,
    optimizer='adamw',
  ),
  'vit_b16_224': Workload(
    encoder='vit_b16',
    timm='vit_base_patch16_224',
    size=224,
    batch=128,
    optimizer='adamw',
  ),
}
