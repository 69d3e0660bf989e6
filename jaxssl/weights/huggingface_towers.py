"""Image towers of CLIP and SigLIP, without texts, to transformers.

Folders for `AutoModel`: a vision transformer with CLIP's details is a
CLIPVisionModel, one that pools by attention a SiglipVisionModel. The inverse of
`huggingface_pairs.image_from_huggingface`.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.models import TextEncoder, ViT
from jaxssl.weights import timm

PyTree = Any
_ACTS = {
  'quick_gelu': 'quick_gelu',
  'gelu': 'gelu',
  'gelu_tanh': 'gelu_pytorch_tanh',
}
_BOTH = {
  'stem': 'patch',
  'position': 'learned',
  'prefix_positions': True,
  'num_registers': 0,
  'layer_scale': None,
}
# What the models cannot be told otherwise, by attribute.
CLIP = _BOTH | {
  'norm_pre': True,
  'patch_bias': False,
  'class_token': True,
  'pool': 'cls',
}
SIGLIP = _BOTH | {
  'norm_pre': False,
  'patch_bias': True,
  'class_token': False,
  'pool': 'map',
}
# Applied in this order to timm's names; the last norm is called differently.
_RENAMES = (
  (r'^cls_token$', 'embeddings.class_embedding'),
  (r'^patch_embed\.proj\.', 'embeddings.patch_embedding.'),
  (r'^pos_embed$', 'embeddings.position_embedding.weight'),
  (r'^tok_embed$', 'embeddings.token_embedding.weight'),
  (r'^norm_pre\.', 'pre_layrnorm.'),
  (r'^attn_pool\.latent$', 'head.probe'),
  (r'^attn_pool\.proj\.', 'head.attention.out_proj.'),
  (r'^attn_pool\.norm\.', 'head.layernorm.'),
  (r'^attn_pool\.mlp\.', 'head.mlp.'),
  (r'^blocks\.', 'encoder.layers.'),
  (r'\.norm([12])\.', r'.layer_norm\1.'),
  (r'\.attn\.proj\.', '.self_attn.out_proj.'),
)
_QKV = re.compile(r'(.*)\.attn\.qkv\.(weight|bias)')


def is_tower(encoder: ViT) -> bool:
  """Whether an encoder is an image tower, and no model of images alone.

  Args:
    encoder: the module.
  """
  return encoder.norm_pre or encoder.pool == 'map'


def convert(
  encoder: ViT, variables: PyTree, image_size: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the content of `config.json`, and the tensors by name.

  Features are the `pooler_output`.

  Args:
    encoder: the module, for which `is_tower` holds.
    variables: its variables.
    image_size: side of its images in pixels.

  Raises:
    UserError: if transformers has no such model; says why.
  """
  is_siglip = encoder.pool == 'map'
  family = 'Siglip' if is_siglip else 'CLIP'
  model = f'{family}VisionModel'
  check(encoder, SIGLIP if is_siglip else CLIP, model)
  config = {
    'architectures': [model],
    'model_type': f'{family.lower()}_vision_model',
    'image_size': side_of(encoder, variables, model, image_size),
    'patch_size': encoder.patch_size,
    **sizes(encoder, model),
  }
  return config, image_tensors(variables)


def check(encoder: ViT, wanted: Mapping[str, object], model: str) -> None:
  """Refuses an encoder that transformers' model cannot be like.

  Args:
    encoder: the module.
    wanted: `CLIP` or `SIGLIP`.
    model: class of transformers.

  Raises:
    UserError: says why it cannot.
  """
  check_values('encoder', encoder, wanted, model)
  if encoder.uses_fc_norm():
    raise refusal(model, 'encoder.fc_norm is True')


def check_values(
  section: str, owner: Any, wanted: Mapping[str, object], model: str
) -> None:
  """Refuses attributes that transformers' model cannot be told.

  Args:
    section: what a message calls the owner.
    owner: module or method.
    wanted: values by attribute.
    model: class of transformers.

  Raises:
    UserError: names the first one and both values.
  """
  for name, value in wanted.items():
    found = getattr(owner, name, None)
    if found != value:
      raise refusal(model, f'{section}.{name} is {found!r}, not {value!r}')


def sizes(encoder: ViT | TextEncoder, model: str) -> dict[str, Any]:
  """Returns what `config.json` says of the blocks of a tower.

  Args:
    encoder: the module.
    model: class of transformers.

  Raises:
    UserError: for an activation that it does not have.
  """
  if encoder.act not in _ACTS:
    raise refusal(model, f'act is {encoder.act!r}')
  return {
    'hidden_size': encoder.dim,
    'intermediate_size': int(encoder.dim * encoder.mlp_ratio),
    'num_hidden_layers': encoder.depth,
    'num_attention_heads': encoder.num_heads,
    'hidden_act': _ACTS[encoder.act],
    'layer_norm_eps': encoder.epsilon,
  }


def side_of(
  encoder: ViT, variables: PyTree, model: str, image_size: int | None = None
) -> int:
  """Returns the side of the images that the stored positions are for.

  Args:
    encoder: the module.
    variables: its variables.
    model: class of transformers.
    image_size: side of the run's images; taken if their grid is the stored
      one, as pixels may be left over.

  Raises:
    UserError: positions of a grid that is no square.
  """
  count = variables['params']['pos_embed'].shape[1] - int(encoder.class_token)
  side = math.isqrt(count)
  is_square = encoder.grid is None or encoder.grid[0] == encoder.grid[1]
  if side * side != count or not is_square:
    raise refusal(model, 'the images are no squares')
  if image_size and image_size // encoder.patch_size == side:
    return image_size
  return side * encoder.patch_size


def image_tensors(variables: PyTree) -> dict[str, np.ndarray]:
  """Returns the tensors of an image tower, without a prefix.

  A token for hidden patches is left out: where nothing is hidden, no feature
  depends on it.

  Args:
    variables: of the tower.
  """
  named = tensors(variables, 'post_layernorm')
  named.pop('mask_token', None)
  if 'attn_pool.q.weight' not in named:
    return named
  # Query, key and value of the pooling in one, as in PyTorch's attention.
  found = {n: t for n, t in named.items() if not n.startswith('attn_pool.')}
  for kind in ('weight', 'bias'):
    parts = [named[f'attn_pool.{part}.{kind}'] for part in ('q', 'kv')]
    found[f'head.attention.in_proj_{kind}'] = np.concatenate(parts)
  return found


def tensors(variables: PyTree, last_norm: str) -> dict[str, np.ndarray]:
  """Returns the tensors of a tower, without a prefix.

  Args:
    variables: of the image or the text tower.
    last_norm: transformers' name of the norm after the last block.
  """
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


def refusal(model: str, reason: str) -> errors.UserError:
  """Returns the error for a run that transformers' model cannot hold.

  Args:
    model: class of transformers.
    reason: why it cannot.
  """
  return errors.UserError(
    f"transformers' {model} cannot hold this run: {reason}"
  )
