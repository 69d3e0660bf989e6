"""Encoders and heads as Flax Linen modules."""

from jaxssl.models.clip_resnet import CLIPResNet
from jaxssl.models.convnext import ConvNeXt
from jaxssl.models.heads.adaptor import Adaptor
from jaxssl.models.heads.dino import DINOHead
from jaxssl.models.heads.linear import Linear
from jaxssl.models.heads.mlp import MLPHead
from jaxssl.models.heads.moco import MoCoHead
from jaxssl.models.heads.moco_v3 import MoCoV3Head
from jaxssl.models.heads.projection import Projection, Unprojected
from jaxssl.models.heads.simclr import SimCLRHead
from jaxssl.models.net import Net
from jaxssl.models.norm import BatchNorm
from jaxssl.models.resnet import ResNet
from jaxssl.models.text_encoder import TextEncoder
from jaxssl.models.variants import (
  encoder_names,
  make_encoder,
  make_text_encoder,
  text_encoder_names,
)
from jaxssl.models.vit import ViT

__all__ = [
  'Adaptor',
  'BatchNorm',
  'CLIPResNet',
  'ConvNeXt',
  'DINOHead',
  'Linear',
  'MLPHead',
  'MoCoHead',
  'MoCoV3Head',
  'Net',
  'Projection',
  'ResNet',
  'SimCLRHead',
  'TextEncoder',
  'Unprojected',
  'ViT',
  'encoder_names',
  'make_encoder',
  'make_text_encoder',
  'text_encoder_names',
]
