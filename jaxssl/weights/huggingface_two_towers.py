"""Weights of a `CLIP` or `SigLIP` to transformers: a folder for its model.

The inverse of `huggingface_pairs` for the two architectures that transformers
has: of `CLIPModel`, CLIP's vision transformer and its causal text tower, each
with a linear projection without bias; of `SiglipModel`, an image tower that
pools by attention and ends in the joint space, and a text tower that sees all
of a text, with a projection with bias. A `SigLIP2` has the towers of a
`SigLIP`; what its other losses need beside them is left out.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from jaxssl.methods import CLIP, SigLIP, SigLIP2
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Method
from jaxssl.models import Projection, TextEncoder, ViT
from jaxssl.weights import huggingface_towers, timm
from jaxssl.weights.huggingface_towers import check_values, refusal

PyTree = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Family:
  """What a model of transformers is.

  Attributes:
    model: its class.
    kind: its `model_type`.
    image: values of the image tower by attribute, that it cannot be told
      otherwise.
    text: likewise of the text tower.
    head: likewise of the projections.
    project_images: whether images have one.
    width: what its configs call the width of the joint space.
    text_head: what it calls the projection of texts.
    largest: id of the end token that it reads as "the largest id of the text";
      None of a model that looks for no end.
    scalar: shape of a number such as the factor of the cosines.
  """

  model: str
  kind: str
  image: Mapping[str, object]
  text: Mapping[str, object]
  head: Mapping[str, object]
  project_images: bool
  width: str
  text_head: str
  largest: int | None
  scalar: tuple[int, ...]


_PRE_NORM: dict[str, object] = {'pad_id': None, 'post_norm': False}
_CLIP = _Family(
  model='CLIPModel',
  kind='clip',
  image=huggingface_towers.CLIP,
  text=_PRE_NORM | {'pool': 'eot', 'causal': True},
  head={'num_layers': 1, 'use_bias': False},
  project_images=True,
  width='projection_dim',
  text_head='text_projection',
  largest=2,  # as the first configs of OpenAI's weights had it
  scalar=(),
)
_SIGLIP = _Family(
  model='SiglipModel',
  kind='siglip',
  image=huggingface_towers.SIGLIP,
  text=_PRE_NORM | {'pool': 'last', 'causal': False},
  head={'num_layers': 1, 'use_bias': True},
  project_images=False,
  width='projection_size',
  text_head='text_model.head',
  largest=None,
  scalar=(1,),
)


def check(method: Method) -> tuple[ViT, TextEncoder, Projection]:
  """Returns encoder, text tower and head, if transformers has such a model.

  Args:
    method: method of the run.

  Raises:
    UserError: says why it has not.
  """
  family, pair = _family(method)
  model = family.model
  if not isinstance(pair.encoder, ViT):
    raise refusal(model, 'the encoder is no vision transformer')
  huggingface_towers.check(pair.encoder, family.image, model)
  if not isinstance(pair.text_encoder, TextEncoder):
    raise refusal(model, 'the text tower is no TextEncoder')
  check_values('text_encoder', pair.text_encoder, family.text, model)
  if not isinstance(pair.head, Projection):
    raise refusal(model, 'the head is no projection')
  check_values('head', pair.head, family.head, model)
  projects = {'project_images': family.project_images}
  check_values('method', pair, projects, model)
  end = pair.text_encoder.eot_id
  if end is not None and end == family.largest:
    raise refusal(
      model, f'text_encoder.eot_id is {end}, which it reads as the largest id'
    )
  return pair.encoder, pair.text_encoder, pair.head


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
  family, _ = _family(method)
  vit, text, head = check(method)
  model, kind = family.model, family.kind
  width = {family.width: head.out_dim}
  width_of_images = width if family.project_images else {}
  kernel = towers['encoder']['params']['patch_embed']['proj']['kernel']
  return {
    'architectures': [model],
    'model_type': kind,
    **width_of_images,
    'vision_config': {
      'model_type': f'{kind}_vision_model',
      'image_size': huggingface_towers.side_of(vit, towers['encoder'], model),
      'patch_size': vit.patch_size,
      'num_channels': kernel.shape[-2],
      **width_of_images,
      **huggingface_towers.sizes(vit, model),
    },
    'text_config': {
      'model_type': f'{kind}_text_model',
      'vocab_size': text.vocab_size,
      'max_position_embeddings': text.length,
      # Without an id of its own the end of a text is the largest, as here.
      'eos_token_id': family.largest if text.eot_id is None else text.eot_id,
      # Not part of the towers; transformers' defaults are ids of the published
      # vocabularies.
      'bos_token_id': None,
      'pad_token_id': None,
      **width,
      **huggingface_towers.sizes(text, model),
    },
  }


def tensors(towers: PyTree) -> dict[str, np.ndarray]:
  """Returns the tensors of `model.safetensors`, float32 by name.

  Args:
    towers: towers from `export` of a method that `check` accepts.
  """
  logits = towers['logits']['params']
  # The sigmoid has a bias, the softmax does not feel one.
  family = _SIGLIP if 'bias' in logits else _CLIP
  text_encoder, text_head = (
    variables_lib.tower(part, *variables_lib.split(towers['text']))
    for part in ('encoder', 'head')
  )
  image = huggingface_towers.image_tensors(towers['encoder'])
  text = huggingface_towers.tensors(text_encoder, 'final_layer_norm')
  found = {f'vision_model.{name}': tensor for name, tensor in image.items()}
  found |= {f'text_model.{name}': tensor for name, tensor in text.items()}
  found |= _projection(family.text_head, text_head)
  if family.project_images:
    found |= _projection('visual_projection', towers['image_head'])
  for name, value in logits.items():
    found[f'logit_{name}'] = np.reshape(value, family.scalar).astype(np.float32)
  return found


def _family(method: Method) -> tuple[_Family, CLIP | SigLIP]:
  """Returns the model for a method, and the method of its two towers."""
  if isinstance(method, CLIP):
    return _CLIP, method
  if isinstance(method, SigLIP2):
    return _SIGLIP, method.siglip
  if isinstance(method, SigLIP):
    return _SIGLIP, method
  raise refusal(
    f'{_CLIP.model} and {_SIGLIP.model}', 'the method is not clip or siglip'
  )


def _projection(name: str, head: PyTree) -> dict[str, np.ndarray]:
  layer = timm.to_timm(head)
  return {
    f'{name}.{kind}': layer[f'dense.0.{kind}']
    for kind in ('weight', 'bias')
    if f'dense.0.{kind}' in layer
  }
