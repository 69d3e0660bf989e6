"""Vision transformers to transformers: folders for `AutoModel`.

Which model it is follows from the encoder: LayerScale, registers or gated MLPs
make it a Dinov2Model (Dinov2WithRegistersModel), no class token an IJepaModel,
rotary positions a DINOv3ViTModel, all else a ViTModel. The inverse of
`weights.huggingface`. `huggingface_towers` has the towers of CLIP and SigLIP.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.models import ViT, positions
from jaxssl.weights import timm

Tensors = Mapping[str, np.ndarray]
_ACTS = {
  'quick_gelu': 'quick_gelu',
  'gelu': 'gelu',
  'gelu_tanh': 'gelu_pytorch_tanh',
  'swiglu': 'silu',
}
# What none of the models can be told otherwise, by attribute.
_FIXED = {'stem': 'patch', 'patch_bias': True}
# Applied in this order to timm's names.
_COMMON = (
  (r'^(cls_token|mask_token)$', r'embeddings.\1'),
  (r'^reg_token$', 'embeddings.register_tokens'),
  (r'^pos_embed$', 'embeddings.position_embeddings'),
  (r'^patch_embed\.proj\.', 'embeddings.patch_embeddings.projection.'),
  (r'^norm\.', 'layernorm.'),
  (r'^blocks\.', 'encoder.layer.'),
  (r'\.attn\.(query|key|value)\.', r'.attention.attention.\1.'),
  (r'\.attn\.proj\.', '.attention.output.dense.'),
)
_VIT = (
  (r'\.norm1\.', '.layernorm_before.'),
  (r'\.norm2\.', '.layernorm_after.'),
  (r'\.mlp\.fc1\.', '.intermediate.dense.'),
  (r'\.mlp\.fc2\.', '.output.dense.'),
)
_SCALE = ((r'\.ls([12])\.gamma$', r'.layer_scale\1.lambda1'),)
_DINOV3 = (
  (r'^(cls_token|mask_token)$', r'embeddings.\1'),
  (r'^reg_token$', 'embeddings.register_tokens'),
  (r'^patch_embed\.proj\.', 'embeddings.patch_embeddings.'),
  (r'^blocks\.', 'layer.'),
  (r'\.attn\.([qkv])(uery|ey|alue)\.', r'.attention.\1_proj.'),
  (r'\.attn\.proj\.', '.attention.o_proj.'),
  (r'\.mlp\.fc1\.', '.mlp.up_proj.'),
  (r'\.mlp\.fc2\.', '.mlp.down_proj.'),
)
_GATE = re.compile(r'(.*\.mlp\.)fc1\.(weight|bias)')
_GATED = (
  (r'\.mlp\.fc1\.', '.mlp.weights_in.'),
  (r'\.mlp\.fc2\.', '.mlp.weights_out.'),
)
_QKV = re.compile(r'(.*\.attn\.)qkv\.(weight|bias)')


def convert(
  encoder: ViT, variables: Any, image_size: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the content of `config.json`, and the tensors by name.

  Features are the last hidden states; those of `pool='avg'` are their mean.

  Args:
    encoder: the module, no image tower of `huggingface_towers`.
    variables: its variables.
    image_size: side of its images in pixels, for fixed positions.

  Raises:
    UserError: if transformers has no such model; says why.
  """
  _check(encoder)
  named = timm.to_timm(variables)
  if encoder.position == 'rope':
    return _dinov3(encoder, named, image_size)
  table = _table(encoder, named.pop('pos_embed', None), image_size)
  prefix = int(encoder.class_token) + encoder.num_registers
  if encoder.num_registers:
    named |= _with_positions(named, table[:, :prefix])
    table = np.pad(table[:, prefix:], [(0, 0), (1, 0), (0, 0)])
    prefix = 1
  named['pos_embed'] = table
  side = math.isqrt(table.shape[1] - prefix)
  config = _shared(encoder) | {'image_size': side * encoder.patch_size}
  if (
    encoder.layer_scale is not None or encoder.num_registers or _gated(encoder)
  ):
    return _dinov2(encoder, config, named)
  config['intermediate_size'] = _hidden(encoder)
  config['hidden_act'] = _ACTS[encoder.act]
  config |= _model('ViTModel' if encoder.class_token else 'IJepaModel')
  return config, _renamed(named, (*_COMMON, *_VIT))


def _dinov2(
  encoder: ViT, config: dict[str, Any], named: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  if not encoder.class_token:
    raise _refusal('its DINOv2 has a class token')
  _scale_by_one(encoder, named)
  named['mask_token'] = np.zeros((1, encoder.dim), np.float32)
  config |= {
    'use_swiglu_ffn': _gated(encoder),
    'mlp_ratio': _whole_ratio(encoder),
    'hidden_act': 'gelu' if _gated(encoder) else _ACTS[encoder.act],
  }
  if encoder.num_registers:
    config |= _model('Dinov2WithRegistersModel')
    config['num_register_tokens'] = encoder.num_registers
  else:
    config |= _model('Dinov2Model')
  mlp = _GATED if _gated(encoder) else ()
  return config, _renamed(named, (*_COMMON, *_SCALE, *mlp))


def _dinov3(
  encoder: ViT, named: dict[str, np.ndarray], image_size: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  if not encoder.class_token:
    raise _refusal('its DINOv3 has a class token')
  _scale_by_one(encoder, named)
  named['mask_token'] = np.zeros((1, 1, encoder.dim), np.float32)
  named.setdefault('reg_token', np.zeros((1, 0, encoder.dim), np.float32))
  config = _shared(encoder) | {
    **_model('DINOv3ViTModel'),
    'image_size': image_size,
    'intermediate_size': _hidden(encoder),
    'hidden_act': _ACTS[encoder.act],
    'use_gated_mlp': _gated(encoder),
    'num_register_tokens': encoder.num_registers,
    'rope_theta': encoder.rope_base,
    'pos_embed_shift': encoder.rope_shift,
    'pos_embed_jitter': encoder.rope_jitter,
    'pos_embed_rescale': encoder.rope_rescale,
    'key_bias': encoder.key_bias,
  }
  if _gated(encoder):
    named = _with_gates(named)
  found = _renamed(named, (*_DINOV3, *_SCALE))
  if not encoder.key_bias:
    found = {n: t for n, t in found.items() if not n.endswith('k_proj.bias')}
  return config, found


def _scale_by_one(encoder: ViT, named: dict[str, np.ndarray]) -> None:
  """Puts in the LayerScale that an encoder does not have."""
  ones = np.ones(encoder.dim, np.float32)
  for i in range(encoder.depth):
    for j in (1, 2):
      named.setdefault(f'blocks.{i}.ls{j}.gamma', ones)


def _with_gates(named: Tensors) -> dict[str, np.ndarray]:
  found: dict[str, np.ndarray] = {}
  for name, tensor in named.items():
    if match := _GATE.fullmatch(name):
      gate, value = np.split(tensor, 2)
      found[f'{match[1]}gate_proj.{match[2]}'] = gate
      found[f'{match[1]}up_proj.{match[2]}'] = value
    else:
      found[name] = tensor
  return found


_KINDS = {
  'DINOv3ViTModel': 'dinov3_vit',
  'ViTModel': 'vit',
  'IJepaModel': 'ijepa',
  'Dinov2Model': 'dinov2',
  'Dinov2WithRegistersModel': 'dinov2_with_registers',
}


def _model(name: str) -> dict[str, Any]:
  return {'architectures': [name], 'model_type': _KINDS[name]}


def _shared(encoder: ViT) -> dict[str, Any]:
  return {
    'hidden_size': encoder.dim,
    'num_hidden_layers': encoder.depth,
    'num_attention_heads': encoder.num_heads,
    'patch_size': encoder.patch_size,
    'layer_norm_eps': encoder.epsilon,
    'qkv_bias': True,
  }


def _check(encoder: ViT) -> None:
  for name, value in _FIXED.items():
    found = getattr(encoder, name)
    if found != value:
      raise _refusal(f'encoder.{name} is {found!r}, not {value!r}')
  if encoder.position in ('relative', 'none'):
    raise _refusal(f'encoder.position is {encoder.position!r}')
  if encoder.uses_fc_norm():
    raise _refusal('its models end in the norm of the tokens')
  if encoder.grid is not None and encoder.grid[0] != encoder.grid[1]:
    raise _refusal('the images are no squares')


def _gated(encoder: ViT) -> bool:
  return encoder.act == 'swiglu'


def _hidden(encoder: ViT) -> int:
  return int(encoder.dim * encoder.mlp_ratio)


def _whole_ratio(encoder: ViT) -> int:
  """Returns the whole number that makes the width of the MLPs there."""
  for ratio in range(1, 33):
    width = encoder.dim * ratio
    if _gated(encoder):
      width = (int(width * 2 / 3) + 7) // 8 * 8
    if width == _hidden(encoder):
      return ratio
  raise _refusal(
    f'the MLPs have {_hidden(encoder)} units, which no whole mlp_ratio gives'
  )


def _table(
  encoder: ViT, table: np.ndarray | None, image_size: int
) -> np.ndarray:
  """Returns positions [1, P + N, D] of prefix and patches."""
  prefix = int(encoder.class_token) + encoder.num_registers
  if table is None:
    side = image_size // encoder.patch_size
    fixed = positions.SINCOS[encoder.position](side, side, encoder.dim)
    return np.pad(fixed[None], [(0, 0), (prefix, 0), (0, 0)])
  if encoder.prefix_positions:
    return table
  return np.pad(table, [(0, 0), (prefix, 0), (0, 0)])


def _with_positions(named: Tensors, table: np.ndarray) -> Tensors:
  """Returns the tokens before the patches, with their positions added."""
  found, start = {}, 0
  for name in ('cls_token', 'reg_token'):
    if name in named:
      end = start + named[name].shape[1]
      found[name] = named[name] + table[:, start:end]
      start = end
  return found


def _renamed(
  named: Tensors, renames: tuple[tuple[str, str], ...]
) -> dict[str, np.ndarray]:
  found: dict[str, np.ndarray] = {}
  for name, tensor in named.items():
    parts = {name: tensor}
    if match := _QKV.fullmatch(name):
      parts = {
        f'{match[1]}{part}.{match[2]}': own
        for part, own in zip(
          ('query', 'key', 'value'), np.split(tensor, 3), strict=True
        )
      }
    for own_name, own in parts.items():
      for pattern, replacement in renames:
        own_name = re.sub(pattern, replacement, own_name)
      found[own_name] = np.ascontiguousarray(own)
  return found


def _refusal(reason: str) -> errors.UserError:
  return errors.UserError(f'transformers has no model like this: {reason}')
