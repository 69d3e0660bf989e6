"""Encoders and heads as Flax Linen modules."""

from jaxssl.models.heads import (
  DINOHead,
  Linear,
  MoCoHead,
  MoCoV3Head,
  SimCLRHead,
)
from jaxssl.models.net import Net
from jaxssl.models.norm import BatchNorm
from jaxssl.models.resnet import ResNet
from jaxssl.models.variants import encoder_names, make_encoder
from jaxssl.models.vit import ViT

__all__ = [
  'BatchNorm',
  'DINOHead',
  'Linear',
  'MoCoHead',
  'MoCoV3Head',
  'Net',
  'ResNet',
  'SimCLRHead',
  'ViT',
  'encoder_names',
  'make_encoder',
]
