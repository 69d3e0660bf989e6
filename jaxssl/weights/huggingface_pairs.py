"""Weights of image-text models from transformers: CLIP, SigLIP; BERT, GPT-2.

Their tensors get the names that `weights.timm` understands, query, key and
value in one matrix. A file of a whole model (`CLIPModel`, `SiglipModel`) has
its towers behind `vision_model.` and `text_model.`; one of a text model alone
has no such prefix, or that of its family (`bert.`, `transformer.`).
"""

from collections.abc import Mapping
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.methods import variables as variables_lib
from jaxssl.weights import huggingface, timm

PyTree = Any
Tensors = Mapping[str, np.ndarray]
_IMAGE, _TEXT = 'vision_model.', 'text_model.'
_CLIP_HEAD, _SIGLIP_HEAD = 'text_projection', 'text_model.head'
# Applied in this order to the whole name, without the tower's prefix.
_RENAMES = (
  (r'^(bert|transformer)\.', ''),
  (r'^embeddings\.class_embedding$', 'cls_token'),
  (r'^embeddings\.patch_embedding\.', 'patch_embed.proj.'),
  (r'^(embeddings\.position_embeddings?|wpe)\.weight$', 'pos_embed'),
  (r'^(embeddings\.(token|word)_embeddings?|wte)\.weight$', 'tok_embed'),
  (r'^(pre_layrnorm|embeddings\.LayerNorm)\.', 'norm_pre.'),
  (r'^(post_layernorm|final_layer_norm|ln_f)\.', 'norm.'),
  (r'^(encoder\.layers?|h)\.', 'blocks.'),
  (r'^head\.probe$', 'attn_pool.latent'),
  (r'^head\.attention\.out_proj\.', 'attn_pool.proj.'),
  (r'^head\.layernorm\.', 'attn_pool.norm.'),
  (r'^head\.mlp\.', 'attn_pool.mlp.'),
  (r'\.(self_attn\.out_proj|attention\.output\.dense)\.', '.attn.proj.'),
  (r'\.attn\.c_proj\.', '.attn.proj.'),
  (r'\.attn\.c_attn\.', '.attn.qkv.'),
  (r'\.self_attn\.([qkv])_proj\.', r'.attn.\1.'),
  (r'\.attention\.self\.(query|key|value)\.', r'.attn.\1.'),
  (r'\.(layer_norm|ln_)([12])\.', r'.norm\2.'),
  (r'\.attention\.output\.LayerNorm\.', '.norm1.'),
  (r'\.output\.LayerNorm\.', '.norm2.'),
  (r'\.(intermediate\.dense|mlp\.c_fc)\.', '.mlp.fc1.'),
  (r'\.(output\.dense|mlp\.c_proj)\.', '.mlp.fc2.'),
)
# Heads of other tasks, and constants that transformers once saved.
_IGNORED = re.compile(
  r'(.*\.)?(position_ids|masked_bias|pooler\..*|cls\..*|lm_head\..*)'
  r'|.*\.attn\.bias'
)
# GPT-2's kernels are stored the other way round.
_TRANSPOSED = re.compile(r'.*\.(c_attn|c_proj|c_fc)\.weight')
_TYPES = 'embeddings.token_type_embeddings.weight'


def image_from_huggingface(
  tensors: Tensors, variables: PyTree, *, antialias: bool = True
) -> PyTree:
  """Puts the image tower of a CLIPModel or SiglipModel into a ViT.

  Positions of another grid are interpolated, as `timm.from_timm` does.

  Args:
    tensors: arrays by transformers' names; those of the text tower are ignored.
    variables: variables of the encoder, {'params': ...}: arrays or the result
      of `jax.eval_shape`.
    antialias: the encoder's attribute of that name.

  Returns:
    float32 variables of the same structure, without the projection.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  return timm.from_timm(named_image(tensors), variables, antialias=antialias)


def named_image(tensors: Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors of the image tower as `weights.timm` names them."""
  own = dict(_of_tower(tensors, _IMAGE))
  pooled = 'head.attention.in_proj_'
  for kind in ('weight', 'bias'):
    joint = own.get(pooled + kind)
    if joint is not None and np.ndim(joint) and len(joint) % 3 == 0:
      q, *kv = np.split(np.asarray(joint), 3)
      del own[pooled + kind]
      own[f'attn_pool.q.{kind}'] = q
      own[f'attn_pool.kv.{kind}'] = np.concatenate(kv)
  return _named(own)


def text_from_huggingface(tensors: Tensors, variables: PyTree) -> PyTree:
  """Puts a text tower of transformers into a `models.TextEncoder`.

  Of a CLIPModel or SiglipModel (tensors of the image tower are ignored), a
  BertModel or a GPT2Model. BERT's vector of the first sentence, which all its
  positions share here, is added to the positions.

  Args:
    tensors: arrays by transformers' names.
    variables: variables of the encoder, {'params': ...}: arrays or the result
      of `jax.eval_shape`.

  Returns:
    float32 variables of the same structure, without the projection.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  own = {
    name.removeprefix('bert.').removeprefix('transformer.'): tensor
    for name, tensor in _of_tower(tensors, _TEXT).items()
    if not name.startswith('head.')
  }
  own = {
    name: np.asarray(tensor).T if _TRANSPOSED.fullmatch(name) else tensor
    for name, tensor in own.items()
  }
  types = own.pop(_TYPES, None)
  positions = 'embeddings.position_embeddings.weight'
  if types is not None and positions in own:
    own[positions] = _plus_first(own[positions], types)
  return timm.from_timm(_named(own), variables)


def has_image_tower(tensors: Tensors) -> bool:
  """Whether there is an image tower of CLIP or SigLIP, alone or in a pair.

  An image model that transformers 5 saves by itself has no prefix.
  """
  return any(
    name.startswith((_IMAGE, 'embeddings.patch_embedding.')) for name in tensors
  )


def is_siglip_tower(tensors: Tensors) -> bool:
  """Whether the image tower is SigLIP's, which pools by attention.

  Args:
    tensors: tensors for which `has_image_tower` holds.
  """
  pools = ('head.', 'attn_pool.')
  return any(name.removeprefix(_IMAGE).startswith(pools) for name in tensors)


def is_clip(tensors: Tensors) -> bool:
  """Whether a whole model is a CLIPModel; otherwise it can be a SiglipModel."""
  return f'{_CLIP_HEAD}.weight' in tensors


def projects_images(tensors: Tensors) -> bool:
  """Whether its images have a projection; CLIP's ResNets pool instead."""
  return is_clip(tensors) and f'{_IMAGE}attnpool.c_proj.weight' not in tensors


def text_sizes(tensors: Tensors) -> dict[str, int]:
  """Returns `vocab_size` and `length` of the text tower in a file.

  Raises:
    UserError: if there is none, or its tables are no matrices.
  """
  tables = {}
  for name, tensor in _of_tower(tensors, _TEXT).items():
    renamed = _renamed(name)
    if renamed in ('tok_embed', 'pos_embed'):
      tables[renamed] = _count_rows(name, tensor)
  if len(tables) < 2:
    raise errors.UserError('the weights hold no text tower')
  return {'vocab_size': tables['tok_embed'], 'length': tables['pos_embed']}


def head_sizes(tensors: Tensors) -> dict[str, Any]:
  """Returns `out_dim` and `use_bias` of the text projection in a file.

  Raises:
    UserError: if there is none, or it is no matrix.
  """
  for name in (_CLIP_HEAD, _SIGLIP_HEAD):
    if f'{name}.weight' in tensors:
      return {
        'out_dim': _count_rows(name, tensors[f'{name}.weight']),
        'use_bias': f'{name}.bias' in tensors,
      }
  raise errors.UserError('the weights hold no projection of texts')


def pair_from_huggingface(
  tensors: Tensors, towers: PyTree, *, antialias: bool = True
) -> PyTree:
  """Puts a CLIPModel or SiglipModel into the towers of `CLIP` or `SigLIP`.

  Args:
    tensors: arrays by transformers' names.
    towers: towers from `export` of the method: arrays or the result of
      `jax.eval_shape`.
    antialias: the encoder's attribute of that name.

  Returns:
    The same towers, float32.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  text_encoder, text_head = (
    variables_lib.tower(part, *variables_lib.split(towers['text']))
    for part in ('encoder', 'head')
  )
  head = _CLIP_HEAD if is_clip(tensors) else _SIGLIP_HEAD
  result = {
    'encoder': image_from_huggingface(
      tensors, towers['encoder'], antialias=antialias
    ),
    'text': variables_lib.join(
      encoder=text_from_huggingface(tensors, text_encoder),
      head=_head(tensors, head, text_head),
    ),
    'logits': {
      'params': {
        name: _scalar(tensors, f'logit_{name}')
        for name in towers['logits']['params']
      }
    },
  }
  if 'image_head' in towers:
    image_head = towers['image_head']
    result['image_head'] = _head(tensors, 'visual_projection', image_head)
  return result


def _of_tower(tensors: Tensors, prefix: str) -> Tensors:
  """Returns the tensors behind a prefix, or all where none has it."""
  own = {
    name.removeprefix(prefix): tensor
    for name, tensor in tensors.items()
    if name.startswith(prefix)
  }
  own = own or tensors
  return {n: t for n, t in own.items() if not _IGNORED.fullmatch(n)}


def _count_rows(name: str, tensor: np.ndarray) -> int:
  if np.ndim(tensor) != 2 or not np.size(tensor):
    raise errors.UserError(f'{name} has shape {np.shape(tensor)}: no matrix')
  return len(tensor)


def _plus_first(table: np.ndarray, types: np.ndarray) -> np.ndarray:
  table, types = np.asarray(table), np.asarray(types)
  if table.ndim != 2 or types.ndim != 2 or table.shape[1] != types.shape[1]:
    raise errors.UserError(
      f'{_TYPES} has shape {types.shape}, which does not fit positions of '
      f'shape {table.shape}'
    )
  return table + types[:1]


def _renamed(name: str) -> str:
  for pattern, replacement in _RENAMES:
    name = re.sub(pattern, replacement, name)
  return name


def _named(tensors: Tensors) -> dict[str, np.ndarray]:
  named = huggingface.to_timm_names(tensors, _RENAMES)
  for name in ('cls_token', 'pos_embed'):
    if name in named:
      table = np.asarray(named[name])
      if table.size and table.ndim:  # else it is refused by its shape
        named[name] = table.reshape(1, -1, table.shape[-1])
  return named


def _head(tensors: Tensors, name: str, variables: PyTree) -> PyTree:
  layer = {
    f'dense.0.{kind}': tensors[f'{name}.{kind}']
    for kind in ('weight', 'bias')
    if f'{name}.{kind}' in tensors
  }
  return timm.from_timm(layer, variables)


def _scalar(tensors: Tensors, name: str) -> np.ndarray:
  tensor = np.asarray(tensors.get(name, ()), np.float32)
  # CLIPModel's has no axis, SiglipModel's one.
  if tensor.shape not in ((), (1,)):
    raise errors.UserError(f'the weights hold no scalar {name!r}')
  return tensor.reshape(())
