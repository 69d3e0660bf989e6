"""Weights of a `CLIP` to transformers: a folder for `CLIPModel`.

The inverse of `huggingface_pairs` for the one architecture that CLIPModel has:
CLIP's vision transformer and its causal text tower, each with a linear
projection without bias.
"""

from typing import Any

import numpy as np

from jaxssl.methods import CLIP
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Method
from jaxssl.models import Projection, TextEncoder, ViT
from jaxssl.weights import huggingface_towers, timm
from jaxssl.weights.huggingface_towers import check_values, refusal

PyTree = Any
_MODEL = 'CLIPModel'
# What CLIPModel cannot be told otherwise, by attribute.
_TEXT = {'pool': 'eot', 'causal': True, 'pad_id': None, 'post_norm': False}
_HEAD = {'num_layers': 1, 'use_bias': False}
# CLIPModel reads this id of the end token as "the largest id of the text", as
# the first configs of OpenAI's weights had it.
_LARGEST = 2


def check(method: Method) -> tuple[ViT, TextEncoder, Projection]:
  """Returns encoder, text tower and head, if CLIPModel can be like them.

  Args:
    method: method of the run.

  Raises:
    UserError: says why it cannot.
  """
  if not isinstance(method, CLIP):
    raise refusal(_MODEL, 'the method is not clip')
  if not isinstance(method.encoder, ViT):
    raise refusal(_MODEL, 'the encoder is no vision transformer')
  huggingface_towers.check(method.encoder, huggingface_towers.CLIP, _MODEL)
  if not isinstance(method.text_encoder, TextEncoder):
    raise refusal(_MODEL, 'the text tower is no TextEncoder')
  check_values('text_encoder', method.text_encoder, _TEXT, _MODEL)
  if not isinstance(method.head, Projection):
    raise refusal(_MODEL, 'the head is no projection')
  check_values('head', method.head, _HEAD, _MODEL)
  check_values('method', method, {'project_images': True}, _MODEL)
  if method.text_encoder.eot_id == _LARGEST:
    raise refusal(
      _MODEL,
      f'text_encoder.eot_id is {_LARGEST}, which it reads as the largest id',
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
  # Without an id of its own the end of a text is the largest, as here.
  end = _LARGEST if text.eot_id is None else text.eot_id
  return {
    'architectures': ['CLIPModel'],
    'model_type': 'clip',
    'projection_dim': head.out_dim,
    'vision_config': {
      'model_type': 'clip_vision_model',
      'image_size': huggingface_towers.side_of(vit, towers['encoder'], _MODEL),
      'patch_size': vit.patch_size,
      'projection_dim': head.out_dim,
      **huggingface_towers.sizes(vit, _MODEL),
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
      'projection_dim': head.out_dim,
      **huggingface_towers.sizes(text, _MODEL),
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
  image = huggingface_towers.tensors(towers['encoder'], 'post_layernorm')
  text = huggingface_towers.tensors(text_encoder, 'final_layer_norm')
  scale = np.asarray(towers['logits']['params']['scale'], np.float32)
  return {
    **{f'vision_model.{name}': tensor for name, tensor in image.items()},
    **{f'text_model.{name}': tensor for name, tensor in text.items()},
    'visual_projection.weight': _projection(towers['image_head']),
    'text_projection.weight': _projection(text_head),
    'logit_scale': scale,
  }


def _projection(head: PyTree) -> np.ndarray:
  return timm.to_timm(head)['dense.0.weight']
