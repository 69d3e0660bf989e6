"""Weights of CLIP and SigLIP by the names of openai/CLIP and open_clip.

Both name the tensors of CLIP alike (model.py and transformer.py of
mlfoundations/open_clip; clip/model.py of openai/CLIP): the image tower behind
`visual.`, the text tower without a prefix, query, key and value as
`attn.in_proj_weight` [3D, D], projections as matrices [D, K]. They get the
names of transformers' CLIPModel, and go in as `huggingface_pairs` does. CLIP's
modified ResNet, which transformers lacks, keeps its names behind
`vision_model.`.

open_clip's SigLIP has the image tower of timm behind `visual.trunk.`, whose
names stay, and the text tower behind `text.`, its projection a layer.
"""

from collections.abc import Mapping
import re

import numpy as np

from jaxssl import errors

Tensors = Mapping[str, np.ndarray]
_VISUAL, _TRUNK, _TEXT = 'visual.', 'visual.trunk.', 'text.'
# Applied in this order to the whole name, without the tower's prefix.
_RENAMES = (
  (r'^positional_embedding$', 'embeddings.position_embedding.weight'),
  (r'^class_embedding$', 'embeddings.class_embedding'),
  (r'^token_embedding\.', 'embeddings.token_embedding.'),
  (r'^conv1\.', 'embeddings.patch_embedding.'),
  (r'^ln_pre\.', 'pre_layrnorm.'),
  (r'^ln_post\.', 'post_layernorm.'),
  (r'^ln_final\.', 'final_layer_norm.'),
  (r'^transformer\.resblocks\.', 'encoder.layers.'),
  (r'\.ln_([12])\.', r'.layer_norm\1.'),
  (r'\.attn\.out_proj\.', '.self_attn.out_proj.'),
  (r'\.mlp\.c_fc\.', '.mlp.fc1.'),
  (r'\.mlp\.c_proj\.', '.mlp.fc2.'),
)
_IN_PROJ = re.compile(r'(.*)\.attn\.in_proj_(weight|bias)')
# Numbers and a mask that older files hold beside the weights.
_IGNORED = ('attn_mask', 'input_resolution', 'context_length', 'vocab_size')


def to_huggingface(tensors: Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors by the names of transformers' CLIPModel, SiglipModel.

  Args:
    tensors: arrays by open_clip's names (`safetensors_file.read`).

  Raises:
    UserError: no such model in it, or one of the sigmoid loss with another
      image tower than timm's; a tensor of a shape that cannot be.
  """
  if 'logit_bias' in tensors:
    return _of_siglip(tensors)
  return _of_clip(tensors)


def _of_siglip(tensors: Tensors) -> dict[str, np.ndarray]:
  _check(
    tensors, f'{_TRUNK}patch_embed.proj.weight', 'text.text_projection.weight'
  )
  named: dict[str, np.ndarray] = {}
  for name, tensor in tensors.items():
    if name in ('logit_scale', 'logit_bias'):
      named[name] = tensor
    elif name.startswith(_TRUNK):
      named['vision_model.' + name.removeprefix(_TRUNK)] = tensor
    else:
      own = name.removeprefix(_TEXT)
      own = re.sub(r'^text_projection\.', 'head.', own)
      named |= _renamed('text_model.', own, tensor)
  return named


def _of_clip(tensors: Tensors) -> dict[str, np.ndarray]:
  _check(tensors, 'text_projection', 'logit_scale', f'{_VISUAL}conv1.weight')
  is_vit = f'{_VISUAL}class_embedding' in tensors
  named = {'logit_scale': tensors['logit_scale']}
  named['text_projection.weight'] = _transposed(tensors, 'text_projection')
  if is_vit:
    projection = _transposed(tensors, f'{_VISUAL}proj')
    named['visual_projection.weight'] = projection
  done = ('logit_scale', 'text_projection', *_IGNORED)
  done = (*done, f'{_VISUAL}proj') if is_vit else done
  for name, tensor in tensors.items():
    if name in done:
      continue
    if not name.startswith(_VISUAL):
      named |= _renamed('text_model.', name, tensor)
    elif is_vit:
      own = name.removeprefix(_VISUAL)
      named |= _renamed('vision_model.', own, tensor)
    else:
      named |= _of_resnet(name.removeprefix(_VISUAL), tensor)
  return named


def _check(tensors: Tensors, *names: str) -> None:
  model = 'SigLIP' if 'logit_bias' in tensors else 'CLIP'
  for name in names:
    if name not in tensors:
      raise errors.UserError(
        f'no tensor is called {name!r}, as in the {model} models of open_clip; '
        "for a file in transformers' names use `jaxssl import huggingface`"
      )


def _renamed(prefix: str, name: str, tensor: np.ndarray) -> Tensors:
  """Returns the tensor by its new name, or the three that it is made of."""
  for pattern, replacement in _RENAMES:
    name = re.sub(pattern, replacement, name)
  match = _IN_PROJ.fullmatch(name)
  if not match:
    return {prefix + name: tensor}
  if np.ndim(tensor) == 0 or len(tensor) % 3:
    raise errors.UserError(
      f'{name} has shape {np.shape(tensor)}, which is not three matrices'
    )
  return {
    f'{prefix}{match[1]}.self_attn.{part}_proj.{match[2]}': own
    for part, own in zip('qkv', np.split(tensor, 3), strict=True)
  }


def _of_resnet(name: str, tensor: np.ndarray) -> Tensors:
  if name == 'attnpool.positional_embedding':
    name, tensor = 'attnpool.pos_embed', np.asarray(tensor)[None]
  return {f'vision_model.{name}': tensor}


def _transposed(tensors: Tensors, name: str) -> np.ndarray:
  tensor = np.asarray(tensors.get(name, ()))
  if tensor.ndim != 2:
    raise errors.UserError(f'the weights hold no matrix {name!r}')
  return tensor.T
