"""ResNets and ConvNeXts from and to transformers.

In: ResNetModel, ConvNextModel, ConvNextV2Model and DINOv3ConvNextModel, with or
without a classifier. Out: the first three. Features are their `pooler_output`.

transformers' ConvNextModel and ConvNextV2Model have an epsilon of 1e-12 in the
last norm and 1e-6 in all others. The authors' code has 1e-6 there too, and so
has our encoder: features differ by 5e-7 over the variance of a picture's
features. What is exported says 1e-6.
"""

from collections.abc import Mapping
import re
from typing import Any

from flax import linen as nn
import numpy as np

from jaxssl.errors import UserError
from jaxssl.models import ConvNeXt, ResNet
from jaxssl.models.resnet import DEPTHS
from jaxssl.weights import timm

Tensors = Mapping[str, np.ndarray]
# What only these have, after the prefix of a model with a classifier.
_OWN = re.compile(
  r'((resnet|convnext|convnextv2)\.)?'
  r'(embedder\.embedder\..*|encoder\.stages\..*'
  r'|(model\.)?stages\.\d+\.(downsample_layers|layers)\..*)'
)
_CLASSIFIER = re.compile(r'classifier\..*|.*num_batches_tracked')
# Applied in this order to names of transformers; timm's come out.
_RENAMES = (
  (r'^(resnet|convnext|convnextv2)\.', ''),
  (r'^(encoder|model)\.', ''),
  (r'^embedder\.embedder\.convolution\.', 'conv1.'),
  (r'^embedder\.embedder\.normalization\.', 'bn1.'),
  (r'^embeddings\.patch_embeddings\.', 'stem.0.'),
  (r'^embeddings\.layernorm\.', 'stem.1.'),
  (r'^stages\.0\.downsample_layers\.', 'stem.'),
  (r'\.downsampl(ing|e)_layers?\.', '.downsample.'),
  (r'^layer_?norm\.', 'head.norm.'),
  (r'^(stages\.\d+)\.layers\.(\d+\.(?!layer\.|shortcut\.))', r'\1.blocks.\2'),
  (r'\.(dwconv|depthwise_conv)\.', '.conv_dw.'),
  (r'\.layer_?norm\.', '.norm.'),
  (r'\.(pw|pointwise_)conv([12])\.', r'.mlp.fc\2.'),
  (r'\.grn\.', '.mlp.grn.'),
  (r'\.layer_scale_parameter$', '.gamma'),
)
_RESNET = re.compile(
  r'stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)'
  r'\.(convolution|normalization)\.(.*)'
)
# And back. Parts of ResNet's blocks are counted from 0 there.
_BLOCK = re.compile(r'layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(.*)')
_BACK_RESNET = (
  (r'^conv1\.', 'embedder.embedder.convolution.'),
  (r'^bn1\.', 'embedder.embedder.normalization.'),
)
_BACK_CONVNEXT = (
  (r'^stem\.0\.', 'embeddings.patch_embeddings.'),
  (r'^stem\.1\.', 'embeddings.layernorm.'),
  (r'^head\.norm\.', 'layernorm.'),
  (r'\.norm\.', '.layernorm.'),
  (r'^stages\.', 'encoder.stages.'),
  (r'\.downsample\.', '.downsampling_layer.'),
  (r'\.blocks\.', '.layers.'),
  (r'\.conv_dw\.', '.dwconv.'),
  (r'\.mlp\.fc([12])\.', r'.pwconv\1.'),
  (r'\.mlp\.grn\.', '.grn.'),
  (r'\.gamma$', '.layer_scale_parameter'),
)
_EPSILON = 1e-6


def has_convnet(tensors: Tensors) -> bool:
  """Whether these are tensors of one of the four models."""
  return any(_OWN.fullmatch(name) for name in tensors)


def named(tensors: Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors of the encoder by timm's names.

  Args:
    tensors: arrays by transformers' names, for which `has_convnet` holds.
  """
  found: dict[str, np.ndarray] = {}
  for name, tensor in tensors.items():
    if _CLASSIFIER.fullmatch(name):
      continue
    name = _of_resnet(_renamed(name, _RENAMES))
    if '.grn.' in name:
      tensor = np.reshape(tensor, -1)  # [1, 1, 1, C] there
    found[name] = tensor
  return found


def convert(
  encoder: nn.Module, variables: Any, image_size: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the content of `config.json`, and the tensors by name.

  Args:
    encoder: a ResNet or a ConvNeXt.
    variables: its variables.
    image_size: side of its images in pixels.

  Raises:
    UserError: if transformers has no such model; says why.
  """
  tensors = timm.to_timm(variables)
  if isinstance(encoder, ResNet):
    config = _resnet(encoder)
    found = {_to_resnet(name): tensor for name, tensor in tensors.items()}
    # PyTorch's BatchNorm counts its batches, and transformers asks for it.
    found |= {
      name.replace('running_mean', 'num_batches_tracked'): np.zeros(
        (), np.int64
      )
      for name in found
      if name.endswith('running_mean')
    }
    return config, found
  assert isinstance(encoder, ConvNeXt)
  config = _convnext(encoder) | {'image_size': image_size}
  found = {}
  for name, tensor in tensors.items():
    name = _renamed(name, _BACK_CONVNEXT)
    found[name] = tensor.reshape(1, 1, 1, -1) if '.grn.' in name else tensor
  return config, found


def _resnet(encoder: ResNet) -> dict[str, Any]:
  if encoder.stem != 'imagenet':
    raise _refusal(f'encoder.stem is {encoder.stem!r}')
  branch, depths = DEPTHS[encoder.depth]
  planes = [int(64 * 2**i * encoder.width) for i in range(4)]
  factor = 1 if branch == 'basic' else 4
  return {
    'architectures': ['ResNetModel'],
    'model_type': 'resnet',
    'embedding_size': planes[0],
    'hidden_sizes': [factor * width for width in planes],
    'depths': list(depths),
    'layer_type': branch,
    'hidden_act': 'relu',
    'downsample_in_first_stage': False,
    'downsample_in_bottleneck': False,
  }


def _convnext(encoder: ConvNeXt) -> dict[str, Any]:
  if encoder.epsilon != _EPSILON:
    raise _refusal(f'encoder.epsilon is {encoder.epsilon!r}, not {_EPSILON}')
  if encoder.grn and encoder.layer_scale is not None:
    raise _refusal('version 2 has no LayerScale')
  kind = 'V2' if encoder.grn else ''
  return {
    'architectures': [f'ConvNext{kind}Model'],
    'model_type': f'convnext{kind.lower()}',
    'hidden_sizes': [encoder.width * 2**i for i in range(len(encoder.blocks))],
    'depths': list(encoder.blocks),
    'num_stages': len(encoder.blocks),
    'patch_size': encoder.stem_size,
    'hidden_act': 'gelu',
    'layer_norm_eps': _EPSILON,
    'layer_scale_init_value': encoder.layer_scale or 0.0,
  }


def _renamed(name: str, renames: tuple[tuple[str, str], ...]) -> str:
  for pattern, replacement in renames:
    name = re.sub(pattern, replacement, name)
  return name


def _of_resnet(name: str) -> str:
  """Returns timm's name of a part of a residual block."""
  match = _RESNET.fullmatch(name)
  if not match:
    return name
  stage, block, place, kind, rest = match.groups()
  is_norm = kind == 'normalization'
  part = f'downsample.{int(is_norm)}'
  if place is not None:
    part = f'{"bn" if is_norm else "conv"}{int(place) + 1}'
  return f'layer{int(stage) + 1}.{block}.{part}.{rest}'


def _to_resnet(name: str) -> str:
  """Returns transformers' name of a ResNet's tensor."""
  match = _BLOCK.fullmatch(name)
  if not match:
    return _renamed(name, _BACK_RESNET)
  stage, block, kind, number, rest = match.groups()
  is_norm = kind == 'bn' or (kind == 'downsample.' and number == '1')
  part = 'shortcut' if kind == 'downsample.' else f'layer.{int(number) - 1}'
  sort = 'normalization' if is_norm else 'convolution'
  return f'encoder.stages.{int(stage) - 1}.layers.{block}.{part}.{sort}.{rest}'


def _refusal(reason: str) -> UserError:
  return UserError(f'transformers has no model like this: {reason}')
