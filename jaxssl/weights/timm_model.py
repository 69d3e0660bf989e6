"""A folder from which `timm.create_model('local-dir:FOLDER')` makes a model.

What timm (1.0.31, `models/_hub.py`) wants of a `config.json`: the name of an
architecture, arguments that turn it into the encoder, and `pretrained_cfg`.
"""

from collections.abc import Mapping
import json
import math
import pathlib
import re
from typing import Any

import numpy as np

from jaxssl.augment.bands import RGB
from jaxssl.errors import UserError
from jaxssl.models import positions
from jaxssl.models.convnext import ConvNeXt
from jaxssl.models.resnet import ResNet
from jaxssl.models.vit import ViT
from jaxssl.weights import preprocessors, safetensors_file, timm
from jaxssl.weights.exported import ExportedEncoder

# timm ties LayerNorm's epsilon to the architecture; arguments do the rest.
_VITS = {1e-6: 'vit_base_patch16_224', 1e-5: 'vit_base_patch16_clip_224'}
# DINOv3, with rotary positions, and a bias of queries and values.
_ROPE = 'vit_small_patch16_dinov3_qkvb'
# Gated MLPs are of an architecture too.
_GATED = 'vit_giant_patch14_dinov2'
# Patches of ConvNeXt's stem; of 2 pixels timm halves the map once more.
_STEM = 4
_POOLS = {'cls': 'token', 'avg': 'avg', 'map': 'map'}


def save(out: pathlib.Path, exported: ExportedEncoder) -> bool:
  """Writes `model.safetensors` in timm's names, and `config.json`.

  Args:
    out: the folder.
    exported: the encoder.

  Returns:
    Whether timm has a model of this architecture. If not, the folder is for
    `jaxssl import timm` only.

  Raises:
    UserError: if the files cannot be written.
  """
  told = _with_channels(architecture(exported), exported)
  tensors = timm.to_timm(exported.variables)
  if told.get('architecture') == _ROPE:
    tensors = _of_eva(tensors)
  elif told and isinstance(exported.encoder, ViT):
    tensors |= _positions(exported, tensors)
  info = {
    **told,
    'num_classes': 0,
    'pretrained_cfg': {
      **preprocessors.to_timm(exported.preprocessing),
      'num_classes': 0,
    },
  }
  if isinstance(exported.encoder, ViT):
    # For `jaxssl import`, which reads the keys of transformers too.
    info['layer_norm_eps'] = exported.encoder.epsilon
    info.setdefault('model_args', _shared(exported.encoder))
  try:
    out.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(out / 'model.safetensors', tensors)
    (out / 'config.json').write_text(json.dumps(info, indent=2) + '\n')
  except OSError as error:
    raise UserError(f'cannot write {str(out)!r}: {error.strerror}') from error
  return bool(told)


def architecture(exported: ExportedEncoder) -> dict[str, Any]:
  """Returns `architecture`, `model_args` and `global_pool`; {} without one.

  timm has no ResNet of another width or with CIFAR's stem, no ConvNeXt with
  another stem, and no vision transformer with a convolutional stem or with one
  table of relative positions for all blocks.

  Args:
    exported: the encoder.
  """
  encoder = exported.encoder
  if isinstance(encoder, ResNet):
    if encoder.width != 1 or encoder.stem != 'imagenet':
      return {}
    name = f'resnet{encoder.depth}'
    return {'architecture': name, 'model_args': {}, 'global_pool': 'avg'}
  if isinstance(encoder, ConvNeXt):
    return _convnext(encoder)
  if isinstance(encoder, ViT) and encoder.position == 'rope':
    return _eva(encoder, exported.image_size)
  if not isinstance(encoder, ViT) or not _is_of_timm(encoder, exported):
    return {}
  return {
    'architecture': _GATED if _gated(encoder) else _VITS[encoder.epsilon],
    'model_args': _arguments(encoder, exported.image_size),
    'global_pool': _POOLS[encoder.pool],
  }


def _with_channels(
  told: dict[str, Any], exported: ExportedEncoder
) -> dict[str, Any]:
  """Returns what `architecture` does, for other channels than RGB."""
  if not told or exported.num_channels == RGB:
    return told
  arguments = {**told['model_args'], 'in_chans': exported.num_channels}
  return {**told, 'model_args': arguments}


def _convnext(encoder: ConvNeXt) -> dict[str, Any]:
  """Returns what `architecture` does; {} for a stem of other patches."""
  if encoder.stem_size != _STEM:
    return {}
  return {
    'architecture': 'convnextv2_tiny' if encoder.grn else 'convnext_tiny',
    'model_args': {
      'depths': list(encoder.blocks),
      'dims': [encoder.width * 2**i for i in range(len(encoder.blocks))],
      'use_grn': encoder.grn,
      'ls_init_value': encoder.layer_scale,
      'norm_eps': encoder.epsilon,
    },
    'global_pool': 'avg',
  }


def _eva(encoder: ViT, image_size: int) -> dict[str, Any]:
  """Returns what `architecture` does, for rotary positions; {} without one."""
  fits = (
    encoder.epsilon == 1e-5
    and encoder.stem == 'patch'
    and encoder.pool in ('cls', 'avg')
    and encoder.act in ('gelu', 'swiglu')
    and encoder.patch_bias != encoder.norm_pre
    and not encoder.key_bias
    and image_size % encoder.patch_size == 0
  )
  if not fits:
    return {}
  return {
    'architecture': _ROPE,
    'model_args': {
      'img_size': image_size,
      'patch_size': encoder.patch_size,
      'embed_dim': encoder.dim,
      'depth': encoder.depth,
      'num_heads': encoder.num_heads,
      'mlp_ratio': encoder.mlp_ratio,
      'swiglu_mlp': _gated(encoder),
      'class_token': encoder.class_token,
      'num_reg_tokens': encoder.num_registers,
      'init_values': encoder.layer_scale,
      'rope_temperature': encoder.rope_base,
      'rope_shift_coords': encoder.rope_shift,
      'rope_jitter_coords': encoder.rope_jitter,
      'rope_rescale_coords': encoder.rope_rescale,
      'use_pre_transformer_norm': encoder.norm_pre,
      'use_fc_norm': encoder.uses_fc_norm(),
      'global_pool': _POOLS[encoder.pool],
    },
    'global_pool': _POOLS[encoder.pool],
  }


def _of_eva(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns tensors by the names of timm's `Eva`; its keys have no bias."""
  found: dict[str, np.ndarray] = {}
  for name, tensor in tensors.items():
    if name.endswith('.attn.qkv.bias'):
      block = name.removesuffix('qkv.bias')
      q, _, v = np.split(tensor, 3)
      found |= {f'{block}q_bias': q, f'{block}v_bias': v}
    else:
      found[re.sub(r'\.ls([12])\.gamma$', r'.gamma_\1', name)] = tensor
  return found


def _is_of_timm(encoder: ViT, exported: ExportedEncoder) -> bool:
  side = exported.image_size // encoder.patch_size
  return (
    encoder.epsilon in ([1e-6] if _gated(encoder) else _VITS)
    and not (_gated(encoder) and encoder.pool == 'map')
    and encoder.stem == 'patch'
    and encoder.position != 'relative'
    and encoder.patch_bias != encoder.norm_pre  # timm has one key for both
    and encoder.grid in (None, (side, side))
    and exported.image_size % encoder.patch_size == 0
  )


def _gated(encoder: ViT) -> bool:
  return encoder.act == 'swiglu'


def _shared(encoder: ViT) -> dict[str, Any]:
  act = 'silu' if _gated(encoder) else encoder.act
  return {'num_heads': encoder.num_heads, 'act_layer': act}


def _arguments(encoder: ViT, image_size: int) -> dict[str, Any]:
  """Returns the arguments of timm's `VisionTransformer`."""
  arguments = {
    **_shared(encoder),
    'img_size': image_size,
    'patch_size': encoder.patch_size,
    'embed_dim': encoder.dim,
    'depth': encoder.depth,
    'mlp_ratio': _mlp_ratio(encoder),
    'class_token': encoder.class_token,
    'reg_tokens': encoder.num_registers,
    'no_embed_class': not _has_prefix_positions(encoder),
    'pos_embed': 'none' if encoder.position == 'none' else 'learn',
    'pre_norm': encoder.norm_pre,
    'fc_norm': encoder.uses_fc_norm(),
    'global_pool': _POOLS[encoder.pool],
  }
  if encoder.layer_scale is not None:
    arguments['init_values'] = encoder.layer_scale
  return arguments


def _mlp_ratio(encoder: ViT) -> float:
  """Returns the width of the first layer over that of the tokens."""
  if not _gated(encoder):
    return encoder.mlp_ratio
  # timm halves the width; half a unit more keeps rounding from losing one.
  hidden = int(encoder.dim * encoder.mlp_ratio)
  return (2 * hidden + 0.5) / encoder.dim


def _has_prefix_positions(encoder: ViT) -> bool:
  return encoder.position == 'learned' and encoder.prefix_positions


def _positions(
  exported: ExportedEncoder, tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns the table [1, n, D] of the grid of the encoder's images.

  Fixed tables are no variables, but timm's are weights. Learned positions of
  another grid are interpolated as the encoder does it; timm does it otherwise.
  """
  encoder = exported.encoder
  side = exported.image_size // encoder.patch_size
  if encoder.position == 'none':
    return {}
  if encoder.position != 'learned':
    table = positions.SINCOS[encoder.position](side, side, encoder.dim)
    return {'pos_embed': np.asarray(table, np.float32)[None]}
  table = tensors['pos_embed'][0]
  count = 0
  if encoder.prefix_positions:
    count = int(encoder.class_token) + encoder.num_registers
  own = math.isqrt(len(table) - count)
  patches = positions.interpolate(
    table[count:], (own, own), (side, side), antialias=encoder.antialias
  )
  whole = np.concatenate([table[:count], np.asarray(patches)])
  return {'pos_embed': whole[None]}
