"""Weights from transformers' vision transformers: ViT, ViTMAE, BEiT.

Their tensors get timm's names, and then go in as timm's do: query, key and
value are one matrix (BEiT has no key bias, which no output depends on; it
becomes 0). Both namings are understood, that of the checkpoints
(`encoder.layer.0.attention.attention.query`) and that of transformers 5
(`layers.0.attention.q_proj`).
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.models import positions
from jaxssl.weights import timm

PyTree = Any
# Applied in this order to the whole name.
_RENAMES = (
  (r'^(vit|beit)\.', ''),
  (r'^embeddings\.position_embeddings$', 'pos_embed'),
  (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
  (r'^embeddings\.', ''),
  (
    r'^(encoder\.relative_position_bias|shared_position_bias)\.',
    'rel_pos_bias.',
  ),
  (r'^pooler\.layernorm\.', 'fc_norm.'),
  (r'^(encoder\.layer|layers|decoder_layers)\.', 'blocks.'),
  (r'\.attention\.output\.dense\.', '.attn.proj.'),
  (r'\.attention\.o_proj\.', '.attn.proj.'),
  (r'\.attention\.attention\.(query|key|value)\.', r'.attn.\1.'),
  (r'\.attention\.([qkv])_proj\.', r'.attn.\1.'),
  (r'\.intermediate\.dense\.', '.mlp.fc1.'),
  (r'\.output\.dense\.', '.mlp.fc2.'),
  (r'\.layernorm_before\.', '.norm1.'),
  (r'\.layernorm_after\.', '.norm2.'),
  (r'\.lambda_([12])$', r'.ls\1.gamma'),
  (r'^(decoder_)?(layer)?norm\.', 'norm.'),
  (r'^decoder_(embed|pred)\.', r'\1.'),
)
_QKV = re.compile(r'(.*\.attn\.)(query|key|value|q|k|v)\.(weight|bias)')
# Parts that are not the encoder's, and tables that are computed.
_IGNORED = re.compile(
  r'((vit|beit)\.)?(decoder|lm_head|classifier|pooler\.dense)\..*'
  r'|.*relative_position_index'
)


def from_huggingface(
  tensors: Mapping[str, np.ndarray], variables: PyTree, *, position: str
) -> PyTree:
  """Puts transformers' tensors into the variables of a ViT.

  Decoder, classifier and pooler are ignored. A table of fixed positions, which
  ViTMAE's checkpoints hold, must be the encoder's own and is then left out.

  ViTMAE's and BEiT's configurations at the hub have LayerNorm's epsilon at
  1e-12, which `descriptions.describe` reads; their authors' code, and this ViT
  without a configuration, have 1e-6.

  Args:
    tensors: arrays by transformers' names (`safetensors_file.read`).
    variables: variables of the encoder, {'params': ...}: arrays or the result
      of `jax.eval_shape`.
    position: the encoder's attribute of that name.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  named = to_timm_names(
    {n: t for n, t in tensors.items() if not _IGNORED.fullmatch(n)}
  )
  if positions.is_fixed_table(named.get('pos_embed'), position):
    del named['pos_embed']
  return timm.from_timm(named, variables)


def mae_decoder_from_huggingface(
  tensors: Mapping[str, np.ndarray], variables: PyTree
) -> PyTree:
  """Puts the decoder of a ViTMAEForPreTraining into that of `methods.MAE`.

  Args:
    tensors: arrays by transformers' names, of the whole model.
    variables: variables of `models.mae_decoder.MAEDecoder`, {'params': ...}:
      arrays or the result of `jax.eval_shape`.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  prefix = 'decoder.'
  own = {
    name.removeprefix(prefix): tensor
    for name, tensor in tensors.items()
    if name.startswith(prefix)
  }
  table = own.pop('decoder_pos_embed', None)
  named = to_timm_names(own)
  if table is not None and not positions.is_fixed_table(table, 'sincos_mae'):
    named['pos_embed'] = table
  return timm.from_timm(named, variables)


def to_timm_names(
  tensors: Mapping[str, np.ndarray],
  renames: Sequence[tuple[str, str]] = _RENAMES,
) -> dict[str, np.ndarray]:
  """Renames tensors, and joins query, key and value.

  Args:
    tensors: arrays by the names of a file.
    renames: regular expressions and replacements, applied in this order.

  Raises:
    UserError: if two tensors get one name.
  """
  named, parts = {}, {}
  for name, tensor in tensors.items():
    for pattern, replacement in renames:
      name = re.sub(pattern, replacement, name)
    match = _QKV.fullmatch(name)
    if match:
      block = parts.setdefault((match[1], match[3]), {})
      block[match[2][0]] = np.asarray(tensor, np.float32)
    elif name in named:
      raise errors.UserError(f'two tensors are both {name!r} of the encoder')
    else:
      named[name] = tensor
  for (block, kind), qkv in parts.items():
    if kind == 'bias' and qkv.keys() == {'q', 'v'}:
      qkv['k'] = np.zeros_like(qkv['q'])
    # A triple that does not fit is not joined, so it is reported as missing.
    shapes = {part.shape for part in qkv.values()}
    if qkv.keys() == {'q', 'k', 'v'} and len(shapes) == 1 and shapes != {()}:
      named[f'{block}qkv.{kind}'] = np.concatenate([qkv[n] for n in 'qkv'])
  return named
