"""Which encoder a file of weights is for, from shapes and the files beside it.

Shapes tell the sizes, names tell the parts. What neither tells, such as the
number of heads or the activation, comes from `config.json`
(`weights.descriptions`); without it only widths that all releases give the same
number of heads are known. What remains open is an error, not a guess.
"""

from collections.abc import Callable, Mapping
import math
import re
from typing import Any

import numpy as np

from jaxssl.errors import UserError
from jaxssl.models import variants
from jaxssl.weights import (
  huggingface,
  huggingface_convnets,
  huggingface_pairs,
  releases,
  timm,
)

Tensors = Mapping[str, np.ndarray]
_BLOCK = re.compile(r'blocks\.(\d+)\..*')
_STAGE_BLOCK = re.compile(r'stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.weight')
_WIDEST_CONVNEXT = 384
# Names that only one layout has, in this order.
_LAYOUTS = (
  ('dalle', r'blocks\.input\.w'),
  ('moco_v3', r'module\.base_encoder\..*'),
  ('dino', r'(teacher|student|module|backbone)\..*'),
  ('open_clip', r'(visual|text)\..*|.*resblocks\..*'),
  (
    'timm',
    r'patch_embed\..*|layer1\.0\.conv1\.weight|stages\.0\.blocks\.0\..*',
  ),
  (
    'huggingface',
    r'(\w+\.)?(\w+\.)?(embeddings|embedder)\..*|.*\.downsample_layers\..*',
  ),
)
# Layout -> its tensors by timm's names.
_NAMED: dict[str, Callable[[Tensors], Tensors]] = {
  'timm': timm.named,
  'huggingface': huggingface.named,
  'dino': releases.named_dino,
  'moco_v3': releases.named_moco_v3,
}


def layout_of(tensors: Tensors) -> str:
  """Returns the format that a file is in, from the names of its tensors.

  Raises:
    UserError: if none is known by such names.
  """
  for layout, pattern in _LAYOUTS:
    if any(re.fullmatch(pattern, name) for name in tensors):
      return layout
  known = ', '.join(layout for layout, _ in _LAYOUTS)
  shown = ', '.join(sorted(tensors)[:3]) or 'nothing'
  raise UserError(
    f'the names of these tensors ({shown}) are of no known layout; known are '
    f'{known}; for a layout of those give its name before the file'
  )


def section_of(
  tensors: Tensors,
  layout: str,
  told: Mapping[str, Any],
  sides: tuple[int, int] | None,
) -> dict[str, Any]:
  """Returns the section `encoder` of a config: the name, and what differs.

  Args:
    tensors: arrays by the names of the layout.
    layout: 'timm' or 'huggingface'; others do not say what they are.
    told: values of the section that are known otherwise; they win.
    sides: height and width of the images that positions are stored for, if
      that is known.

  Raises:
    UserError: if something remains open; names the argument that settles it.
  """
  if layout not in ('timm', 'huggingface'):
    raise UserError(
      f'weights of {layout} do not say which encoder they are for; name it '
      'with --encoder'
    )
  own = in_timm_names(tensors, layout)
  if 'layer1.0.conv1.weight' in own:
    return _resnet(own)
  if np.ndim(own.get('stem.0.weight', ())) == 4:
    return _convnext(own, told)
  if np.ndim(own.get('patch_embed.proj.weight', ())) != 4:
    raise UserError(
      'these weights are of no encoder that is known by its tensors; name it '
      'with --encoder'
    )
  return _vit(own, told, sides)


def in_timm_names(tensors: Tensors, layout: str) -> Tensors:
  """Returns the tensors of the encoder by timm's names.

  Args:
    tensors: arrays by the names of the layout.
    layout: as `layout_of` returns it.

  Returns:
    Empty for a layout whose encoder is none of timm's.
  """
  if layout == 'huggingface':
    if huggingface_pairs.has_image_tower(tensors):
      return huggingface_pairs.named_image(tensors)
    if huggingface_convnets.has_convnet(tensors):
      return huggingface_convnets.named(tensors)
  return _NAMED.get(layout, lambda _: {})(tensors)


def _vit(
  named: Tensors, told: Mapping[str, Any], sides: tuple[int, int] | None
) -> dict[str, Any]:
  dim, _, patch, _ = np.shape(named['patch_embed.proj.weight'])
  depth = _count_blocks(named)
  found: dict[str, Any] = {
    'patch_size': patch,
    'dim': dim,
    'depth': depth,
    'class_token': 'cls_token' in named,
    'num_registers': _length(named, 'reg_token'),
    'norm_pre': 'norm_pre.weight' in named,
    'patch_bias': 'patch_embed.proj.bias' in named,
    'layer_scale': 1e-5 if 'blocks.0.ls1.gamma' in named else None,
    **_pool(named),
    **_position(named, told, sides, patch),
  }
  if found['norm_pre']:
    found['epsilon'] = 1e-5
  found |= told
  found |= _mlp(named, dim, found)
  style = _style(found)
  size = variants.size_of(style, dim, depth, found['act'])
  found.setdefault('num_heads', variants.heads_of(style, dim))
  if found['num_heads'] is None:
    raise _open('the number of attention heads', 'num_heads=12')
  return {'name': f'{style}vit_{size or "s"}{patch}', **found}


def _style(found: Mapping[str, Any]) -> str:
  if found['norm_pre']:
    return 'clip_'
  if found['pool'] == 'map':
    return 'siglip_'
  if found['position'] == 'rope':
    return 'dinov3_'
  return 'dinov2_' if found['layer_scale'] is not None else ''


def _pool(named: Tensors) -> dict[str, Any]:
  if 'attn_pool.latent' in named:
    return {'pool': 'map', 'fc_norm': False}
  if 'fc_norm.weight' in named:
    return {'pool': 'avg', 'fc_norm': True}
  has_class = 'cls_token' in named
  return {'pool': 'cls' if has_class else 'avg', 'fc_norm': False}


def _position(
  named: Tensors,
  told: Mapping[str, Any],
  sides: tuple[int, int] | None,
  patch: int,
) -> dict[str, Any]:
  if 'rel_pos_bias.relative_position_bias_table' in named:
    return {'position': 'relative', 'use_mask_token': 'mask_token' in named}
  if 'pos_embed' not in named:
    # Of released models without a table only DINOv3's have LayerScale.
    if 'blocks.0.ls1.gamma' not in named:
      return {'position': 'none'}
    return {'position': 'rope', 'key_bias': False, 'epsilon': 1e-5}
  count = _length(named, 'pos_embed')
  prefix = _length(named, 'cls_token') + _length(named, 'reg_token')
  if not prefix or 'prefix_positions' in told:
    return {'position': 'learned'}
  patches = (sides[0] // patch) * (sides[1] // patch) if sides else 0
  fits = [count == patches + prefix, count == patches]
  if not any(fits):
    fits = [_is_square(count - prefix), _is_square(count)]
  if fits[0] == fits[1]:
    raise _open(
      f'whether class token and registers are among the {count} positions',
      'prefix_positions=true',
    )
  return {'position': 'learned', 'prefix_positions': fits[0]}


def _mlp(named: Tensors, dim: int, found: Mapping[str, Any]) -> dict[str, Any]:
  first, second = (
    np.shape(named.get(f'blocks.0.mlp.fc{i}.weight', ())) for i in (1, 2)
  )
  if len(first) != 2 or len(second) != 2:
    raise UserError('blocks.0.mlp holds no matrices fc1 and fc2')
  hidden = second[1]
  ratio = hidden / dim
  while int(dim * ratio) < hidden:
    ratio = math.nextafter(ratio, math.inf)
  if first[0] == 2 * hidden:
    return {'mlp_ratio': ratio, 'act': 'swiglu'}
  if found.get('act') == 'swiglu':
    raise UserError('the activation is SiLU, but the MLPs have no gate')
  is_open = found['norm_pre'] or found['pool'] == 'map'
  if 'act' not in found and is_open:
    raise _open('the activation (CLIP and SigLIP have several)', 'act=gelu')
  return {'mlp_ratio': ratio, 'act': found.get('act', 'gelu')}


def _open(what: str, example: str) -> UserError:
  return UserError(
    f'neither shapes nor files beside the weights tell {what}; give, for '
    f'example, --config.encoder.{example}'
  )


def _count_blocks(named: Tensors) -> int:
  matches = (_BLOCK.fullmatch(name) for name in named)
  return 1 + max((int(m[1]) for m in matches if m), default=-1)


def _length(named: Tensors, name: str) -> int:
  shape = np.shape(named.get(name, ()))
  return shape[1] if len(shape) == 3 else 0


def _is_square(count: int) -> bool:
  return count > 0 and math.isqrt(count) ** 2 == count


def _convnext(named: Tensors, told: Mapping[str, Any]) -> dict[str, Any]:
  width, _, stem, _ = np.shape(named['stem.0.weight'])
  grn = 'stages.0.blocks.0.mlp.grn.weight' in named
  has_scale = 'stages.0.blocks.0.gamma' in named
  fields = {
    'blocks': _count_convnext(named),
    'width': width,
    'grn': grn,
    'layer_scale': 1e-6 if has_scale else None,
    'stem_size': stem,
    # Of released models only the widest (xxlarge) has another.
    'epsilon': 1e-5 if width == _WIDEST_CONVNEXT else 1e-6,
  }
  fields |= {key: told[key] for key in told.keys() & fields.keys()}
  return {'name': variants.convnext_name(fields), **fields}


def _count_convnext(named: Tensors) -> tuple[int, ...]:
  """Returns the number of blocks of each stage."""
  matches = (_STAGE_BLOCK.fullmatch(name) for name in named)
  found = {(int(m[1]), int(m[2])) for m in matches if m}
  stages = 1 + max((stage for stage, _ in found), default=-1)
  return tuple(sum(stage == i for stage, _ in found) for i in range(stages))


def _resnet(named: Tensors) -> dict[str, Any]:
  stem = np.shape(named.get('conv1.weight', ()))
  found: dict[str, Any] = {'name': f'resnet{_resnet_depth(named)}'}
  if len(stem) == 4 and stem[0] != 64:
    found['width'] = stem[0] / 64
  if len(stem) == 4 and stem[2] == 3:
    found['stem'] = 'cifar'
  return found


def _resnet_depth(named: Tensors) -> int:
  blocks = tuple(
    sum(f'layer{stage}.{i}.conv1.weight' in named for i in range(64))
    for stage in range(1, 5)
  )
  is_deep = 'layer1.0.conv3.weight' in named
  depths: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
  }
  if (is_deep, blocks) not in depths:
    raise UserError(f'no ResNet here has stages of {blocks} blocks')
  return depths[is_deep, blocks]
