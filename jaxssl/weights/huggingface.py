"""Weights from transformers' vision transformers: ViT, ViTMAE, BEiT, DINO.

Their tensors get timm's names, and then go in as timm's do: query, key and
value are one matrix (BEiT has no key bias, which no output depends on; it
becomes 0). DINOv2's class token has a position beside registers that have none;
the position is added to the token, as timm does it. Both namings are
understood: of checkpoints (`encoder.layer.0.attention.attention.query`)
and of transformers 5 (`layers.0.attention.q_proj`).
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.models import positions
from jaxssl.weights import timm
from jaxssl.weights.joined import joined

PyTree = Any
# Applied in this order to the whole name.
_RENAMES = (
  (r'^(vit|beit|dinov2|dinov2_with_registers)\.', ''),
  (r'^embeddings\.position_embeddings$', 'pos_embed'),
  (r'^embeddings\.patch_embeddings\.(projection\.)?', 'patch_embed.proj.'),
  (r'^embeddings\.register_tokens$', 'reg_token'),
  (r'^embeddings\.', ''),
  (
    r'^(encoder\.relative_position_bias|shared_position_bias)\.',
    'rel_pos_bias.',
  ),
  (r'^pooler\.layernorm\.', 'fc_norm.'),
  (r'^(model\.)?layer\.', 'blocks.'),
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
  (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
  (r'\.mlp\.gate_proj\.', '.mlp.fc1_g.'),
  (r'\.mlp\.up_proj\.', '.mlp.fc1_x.'),
  (r'\.mlp\.weights_in\.', '.mlp.fc1.'),
  (r'\.mlp\.(weights_out|down_proj)\.', '.mlp.fc2.'),
  (r'^(decoder_)?(layer)?norm\.', 'norm.'),
  (r'^decoder_(embed|pred)\.', r'\1.'),
)
# Parts that are not the encoder's, and tables that are computed.
_IGNORED = re.compile(
  r'((vit|beit|dinov2\w*)\.)?(decoder|lm_head|classifier|pooler\.dense)\..*'
  r'|.*relative_position_index'
)


def from_huggingface(
  tensors: Mapping[str, np.ndarray],
  variables: PyTree,
  *,
  position: str,
  antialias: bool = True,
) -> PyTree:
  """Puts transformers' tensors into the variables of a ViT.

  Decoder, classifier and pooler are ignored, and DINOv2's mask token where the
  encoder has none. A table of fixed positions, which ViTMAE's checkpoints hold,
  must be the encoder's own and is then left out.

  ViTMAE's and BEiT's configurations at the hub have LayerNorm's epsilon at
  1e-12, which `descriptions.describe` reads; their authors' code, and this ViT
  without a configuration, have 1e-6.

  Args:
    tensors: arrays by transformers' names (`safetensors_file.read`).
    variables: variables of the encoder, {'params': ...}: arrays or the result
      of `jax.eval_shape`.
    position: the encoder's attribute of that name.
    antialias: the encoder's attribute of that name.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  found = named(tensors)
  _use_mask_token(found, variables)
  if positions.is_fixed_table(found.get('pos_embed'), position):
    del found['pos_embed']
  return timm.from_timm(found, variables, antialias=antialias)


def named(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the tensors of the encoder as `weights.timm` names them.

  Args:
    tensors: arrays by transformers' names.

  Raises:
    UserError: if two tensors get one name.
  """
  found = to_timm_names(
    {n: t for n, t in tensors.items() if not _IGNORED.fullmatch(n)}
  )
  _add_class_position(found)
  return found


def is_mae(tensors: Mapping[str, np.ndarray]) -> bool:
  """Whether these are of a ViTMAE: with its decoder, or its fixed positions.

  Args:
    tensors: arrays by transformers' names.
  """
  names = (
    'embeddings.position_embeddings',
    'vit.embeddings.position_embeddings',
  )
  return 'decoder.decoder_pred.weight' in tensors or any(
    positions.is_fixed_table(tensors.get(name), 'sincos_mae') for name in names
  )


def _use_mask_token(found: dict[str, np.ndarray], variables: PyTree) -> None:
  """Gives DINOv2's token [1, D] an axis, or drops it where none is wanted."""
  if 'mask_token' not in found:
    return
  if 'mask_token' not in variables['params']:
    del found['mask_token']
  elif np.ndim(found['mask_token']) == 2:
    found['mask_token'] = np.asarray(found['mask_token'])[None]


def _add_class_position(found: dict[str, np.ndarray]) -> None:
  """Adds the position of a class token beside registers to the token."""
  tables = [found.get(n) for n in ('cls_token', 'reg_token', 'pos_embed')]
  if any(table is None or np.ndim(table) != 3 for table in tables):
    return
  token, _, table = (np.asarray(t, np.float32) for t in tables)
  found['cls_token'] = token + table[:, :1]
  found['pos_embed'] = table[:, 1:]


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
  found = to_timm_names(own)
  if table is not None and not positions.is_fixed_table(table, 'sincos_mae'):
    found['pos_embed'] = table
  return timm.from_timm(found, variables)


def to_timm_names(
  tensors: Mapping[str, np.ndarray],
  renames: Sequence[tuple[str, str]] = _RENAMES,
) -> dict[str, np.ndarray]:
  """Renames tensors, and joins what is stored apart (`weights.joined`).

  Args:
    tensors: arrays by the names of a file.
    renames: regular expressions and replacements, applied in this order.

  Raises:
    UserError: if two tensors get one name.
  """
  found: dict[str, np.ndarray] = {}
  for name, tensor in tensors.items():
    for pattern, replacement in renames:
      name = re.sub(pattern, replacement, name)
    if name in found:
      raise errors.UserError(f'two tensors are both {name!r} of the encoder')
    found[name] = tensor
  return joined(_without_gates(found))


def _without_gates(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Names the first layer of DINOv3's MLPs that have no gate beside it."""
  if any('.mlp.fc1_g.' in name for name in tensors):
    return dict(tensors)
  return {n.replace('.mlp.fc1_x.', '.mlp.fc1.'): t for n, t in tensors.items()}
