"""One training step per family of methods, at published and at tiny shapes."""

import dataclasses
from typing import Any

from benchmarks.peers.workloads import Workload


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """A method around the network of a workload.

  Attributes:
    method: key of `jaxssl.methods.METHODS`.
    work: encoder, images per step and optimizer.
    views: sides of the views of an image, in pixels.
    head: keyword arguments of the head.
    settings: hyperparameters of the method.
    text: attributes of the text tower, for CLIP.
  """

  method: str
  work: Workload
  views: tuple[int, ...]
  head: dict[str, Any] = dataclasses.field(default_factory=dict)
  settings: dict[str, Any] = dataclasses.field(default_factory=dict)
  text: dict[str, Any] = dataclasses.field(default_factory=dict)

  def with_batch(self, batch: int | None) -> 'Family':
    """Returns the same with so many images per step; None for its own."""
    if batch is None:
      return self
    return dataclasses.replace(
      self, work=dataclasses.replace(self.work, batch=batch)
    )


def _resnet50(batch: int) -> Workload:
  return Workload(
    encoder='resnet50', timm='resnet50', size=224, batch=batch, optimizer='sgd'
  )


def _vit(name: str, batch: int, **timm_options: Any) -> Workload:
  letter = {'small': 's', 'base': 'b'}[name]
  heads = timm_options.get('num_heads')
  return Workload(
    encoder=f'vit_{letter}16',
    options={'num_heads': heads} if heads else {},
    timm=f'vit_{name}_patch16_224',
    timm_options=timm_options,
    size=224,
    batch=batch,
    optimizer='adamw',
  )


def _tiny(optimizer: str, **timm_options: Any) -> Workload:
  """A ResNet-18 of width 1/8, or a ViT of two blocks, on 16 pixels."""
  if optimizer == 'sgd':
    return Workload(
      encoder='resnet18',
      options={'stem': 'cifar', 'width': 0.125},
      timm='resnet18',
      timm_options={'channels': (8, 16, 32, 64)},
      size=16,
      batch=4,
      optimizer='sgd',
    )
  return Workload(
    encoder='vit_ti4',
    options={'dim': 32, 'depth': 2, 'num_heads': 2},
    timm='vit_tiny_patch16_224',
    timm_options={
      'img_size': 16,
      'patch_size': 4,
      'embed_dim': 32,
      'depth': 2,
      'num_heads': 2,
      **timm_options,
    },
    size=16,
    batch=4,
    optimizer='adamw',
  )


def _clip(size: int, batch: int, **options: Any) -> Workload:
  """The image tower; the peer is open_clip's model of the same sizes."""
  return Workload(
    encoder='clip_vit_b32',
    options=options,
    timm='',
    size=size,
    batch=batch,
    optimizer='adamw',
  )


# Networks, views and heads of the papers. Batches are such that one card of
# 80 GB holds them; the published ones are spread over many cards. No drop path,
# no frozen layers, learned positions but for MAE, on both sides.
GPU = {
  'simclr': Family(
    method='simclr',
    work=_resnet50(256),
    views=(224, 224),
    head={'num_layers': 2, 'out_dim': 128},
    settings={'temperature': 0.1},
  ),
  'moco_v2': Family(
    method='moco_v2',
    work=_resnet50(256),
    views=(224, 224),
    head={'num_layers': 2, 'out_dim': 128},
    settings={'temperature': 0.2, 'momentum': 0.999, 'queue_size': 65536},
  ),
  'moco_v3': Family(
    method='moco_v3',
    work=_vit('small', 256, num_heads=12),
    views=(224, 224),
    head={'num_layers': 3, 'hidden_dim': 4096, 'out_dim': 256},
    settings={'temperature': 0.2, 'momentum': 0.99},
  ),
  'dino': Family(
    method='dino',
    work=_vit('small', 64, dynamic_img_size=True),
    views=(224,) * 2 + (96,) * 6,
    head={'hidden_dim': 2048, 'bottleneck_dim': 256, 'out_dim': 65536},
    settings={'teacher_temperature': 0.04, 'momentum': 0.996},
  ),
  'mae': Family(
    method='mae',
    work=_vit('base', 256),
    views=(224,),
    settings={
      'mask_ratio': 0.75,
      'decoder_dim': 512,
      'decoder_depth': 8,
      'decoder_heads': 16,
    },
  ),
  'rotation': Family(method='rotation', work=_resnet50(64), views=(224,)),
  'clip': Family(
    method='clip',
    work=_clip(
      224, 512, dim=768, depth=12, num_heads=12, mlp_ratio=4.0, patch_size=32
    ),
    views=(224,),
    head={'out_dim': 512},
    text={
      'dim': 512,
      'depth': 12,
      'num_heads': 8,
      'mlp_ratio': 4.0,
      'vocab_size': 49408,
      'length': 77,
    },
  ),
}

# What the same code runs on a CPU, to see that it runs.
CPU = {
  'simclr': dataclasses.replace(
    GPU['simclr'], work=_tiny('sgd'), views=(16,) * 2
  ),
  'moco_v2': dataclasses.replace(
    GPU['moco_v2'],
    work=_tiny('sgd'),
    views=(16,) * 2,
    settings={**GPU['moco_v2'].settings, 'queue_size': 16},
  ),
  'moco_v3': dataclasses.replace(
    GPU['moco_v3'],
    work=_tiny('adamw'),
    views=(16,) * 2,
    head={'num_layers': 3, 'hidden_dim': 24, 'out_dim': 16},
  ),
  'dino': dataclasses.replace(
    GPU['dino'],
    work=_tiny('adamw', dynamic_img_size=True),
    views=(16,) * 2 + (8,) * 2,
    head={'hidden_dim': 24, 'bottleneck_dim': 12, 'out_dim': 32},
  ),
  'mae': dataclasses.replace(
    GPU['mae'],
    work=_tiny('adamw'),
    views=(16,),
    settings={
      'mask_ratio': 0.75,
      'decoder_dim': 16,
      'decoder_depth': 1,
      'decoder_heads': 2,
    },
  ),
  'rotation': dataclasses.replace(
    GPU['rotation'], work=_tiny('sgd'), views=(16,)
  ),
  'clip': dataclasses.replace(
    GPU['clip'],
    work=_clip(
      16, 4, dim=32, depth=2, num_heads=2, mlp_ratio=2.0, patch_size=8
    ),
    views=(16,),
    head={'out_dim': 24},
    text={
      'dim': 32,
      'depth': 2,
      'num_heads': 2,
      'mlp_ratio': 2.0,
      'vocab_size': 64,
      'length': 9,
    },
  ),
}
TABLES = {'gpu': GPU, 'cpu': CPU}
