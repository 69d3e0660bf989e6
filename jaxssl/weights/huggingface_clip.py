"""Weights of a `CLIP` to transformers: a folder for `CLIPModel`.

The inverse of `huggingface_pairs` for the one architecture that CLIPModel has:
CLIP's vision transformer and its causal text tower, each with a linear
projection without bias.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.methods import CLIP
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Method
from jaxssl.models import Projection, TextEncoder, ViT
from jaxssl.weights import timm

PyTree = Any
_ACTS = {
  'quick_gelu': 'quick_gelu',
  'gelu': 'gelu',
  'gelu_tanh': 'gelu_pytorch_tanh',
}
# What CLIPModel cannot be told otherwise, by attribute.
_VIT = {
  'norm_pre': True,
  'patch_bias': False,
  'class_token': True,
  'pool': 'cls',
  'stem': 'patch',
  'position': 'learned',
  'prefix_positions': True,
  'num_registers': 0,
  'layer_scale': None,
  'use_mask_token': False,
}
_TEXT = {'pool': 'eot', 'causal': True, 'pad_id': None, 'post_norm': False}
_HEAD = {'num_layers': 1, 'use_bias': False}
# CLIPModel reads this id of the end token as "the largest id of the text", as
# the first configs of OpenAI's weights had it.
_LARGEST = 2
# Applied in this order to timm's names; `norm` is called differently.
_RENAMES = (
  (r'^cls_token$', 'embeddings.class_embedding'),
  (r'^patch_embed\.proj\.', 'embeddings.patch_embedding.'),
  (r'^pos_embed$', 'embeddings.position_embedding.weight'),
  (r'^tok_embed$', 'embeddings.token_embedding.weight'),
  (r'^norm_pre\.', 'pre_layrnorm.'),
  (r'^blocks\.', 'encoder.layers.'),
  (r'\.norm([12])\.', r'.layer_norm\1.'),
  (r'\.attn\.proj\.', '.self_attn.out_proj.'),
)
_QKV = re.compile(r'(.*)\.attn\.qkv\.(weight|bias)')


def check(method: Method) -> tuple[ViT, TextEncoder, Projection]:
  """Returns encoder, text tower and head, if CLIPModel can be like them.

  Args:
    method: method of the run.

  Raises:
    UserError: says why it cannot.
  """
  if not isinstance(method, CLIP):
    raise _refusal('the method is not clip')
  if not isinstance(method.encoder, ViT):
    raise _refusal('the encoder is no vision transformer')
  _check_values('encoder', method.encoder, _VIT)
  if method.encoder.fc_norm:
    raise _refusal('encoder.fc_norm is True')
  if not isinstance(method.text_encoder, TextEncoder):
    raise _refusal('the text tower is no TextEncoder')
  _check_values('text_encoder', method.text_encoder, _TEXT)
  if not isinstance(method.head, Projection):
    raise _refusal('the head is no projection')
  _check_values('head', method.head, _HEAD)
  _check_values('method', method, {'project_images': True})
  if method.text_encoder.eot_id == _LARGEST:
    raise _refusal(
      f'text_encoder.eot_id is {_LARGEST}, which it reads as the largest id'
    )
  return method.encoder, method.text_encoder, method.head


def config(method: Method, towers: PyTree) -> dict[str, Any]:
  """Returns the content of `config.json`.

  `image_size` is that of the stored positions, which may not be the size that
  the run was evaluated at.

  Args:
    method: that `check` accepts.
    towers: what its `export` returns.

  Raises:
    UserError: positions of a grid that is no square, or as of `check`.
  """
  vit, text, head = check(method)
  count = towers['encoder']['params']['pos_embed'].shape[1] - 1
  side = math.isqrt(count)
  if side * side != count or (vit.grid and vit.grid[0] != vit.grid[1]):
    raise _refusal('the images are no squares')
  # Without an id of its own the end of a text is the largest, as here.
  end = _LARGEST if text.eot_id is None else text.eot_id
  return {
    'architectures': ['CLIPModel'],
    'model_type': 'clip',
    'projection_dim': head.out_dim,
    'vision_config': {
      'model_type': 'clip_vision_model',
      'image_size': side * vit.patch_size,
      'patch_size': vit.patch_size,
      **_tower_config(vit, head.out_dim),
    },
    'text_config': {
      'model_type': 'clip_text_model',
      'vocab_size': text.vocab_size,
      'max_position_embeddings': text.length,
      'eos_token_id': end,
      # Not part of the towers; transformers' defaults are ids of CLIP's
      # published vocabulary.
      'bos_token_id': None,
      'pad_token_id': None,
      **_tower_config(text, head.out_dim),
    },
  }


def tensors(towers: PyTree) -> dict[str, np.ndarray]:
  """Returns the tensors of `model.safetensors`, float32 by name.

  Args:
    towers: towers from `export` of a method that `check` accepts.
  """
  text_encoder, text_head = (
    variables_lib.tower(part, *variables_lib.split(towers['text']))
    for part in ('encoder', 'head')
  )
  image = _tower(towers['encoder'], 'post_layernorm')
  text = _tower(text_encoder, 'final_layer_norm')
  scale = np.asarray(towers['logits']['params']['scale'], np.float32)
  return {
    **{f'vision_model.{name}': tensor for name, tensor in image.items()},
    **{f'text_model.{name}': tensor for name, tensor in text.items()},
    'visual_projection.weight': _projection(towers['image_head']),
    'text_projection.weight': _projection(text_head),
    'logit_scale': scale,
  }


def _tower_config(encoder: ViT | TextEncoder, out_dim: int) -> dict[str, Any]:
  return {
    'hidden_size': encoder.dim,
    'intermediate_size': int(encoder.dim * encoder.mlp_ratio),
    'num_hidden_layers': encoder.depth,
    'num_attention_heads': encoder.num_heads,
    'hidden_act': _ACTS[encoder.act],
    'layer_norm_eps': encoder.epsilon,
    'projection_dim': out_dim,
  }


def _tower(variables: PyTree, last_norm: str) -> dict[str, np.ndarray]:
  """Returns the tensors of one tower, without its prefix."""
  renames = (*_RENAMES, (r'^norm\.', f'{last_norm}.'))
  named = {}
  for name, tensor in timm.to_timm(variables).items():
    for pattern, replacement in renames:
      name = re.sub(pattern, replacement, name)
    match = _QKV.fullmatch(name)
    if match:
      for part, own in zip('qkv', np.split(tensor, 3), strict=True):
        named[f'{match[1]}.self_attn.{part}_proj.{match[2]}'] = own
    elif name.startswith('embeddings.') and tensor.ndim == 3:
      # [1, n, D] here, the class token [D] and positions [n, D] there.
      is_token = name.endswith('class_embedding')
      named[name] = tensor[0, 0] if is_token else tensor[0]
    else:
      named[name] = tensor
  return named


def _projection(head: PyTree) -> np.ndarray:
  return timm.to_timm(head)['dense.0.weight']


def _check_values(
  section: str, owner: Any, wanted: Mapping[str, object]
) -> None:
  for name, value in wanted.items():
    found = getattr(owner, name, None)
    if found != value:
      raise _refusal(f'{section}.{name} is {found!r}, not {value!r}')


def _refusal(reason: str) -> errors.UserError:
  return errors.UserError(
    f"transformers' CLIPModel cannot hold this run: {reason}"
  )
