"""Weights that the authors of DINO and MoCo v3 released.

Both are vision transformers or ResNets in the names of timm and torchvision,
inside a larger model whose prefix says which network it is. The released files
are pickles, which can run code and are not read; PyTorch rewrites one, without
running what is in it, as

    import torch
    from safetensors.torch import save_file
    file = torch.load(NAME, map_location='cpu', weights_only=True)
    state = file.get('state_dict', file)
    save_file({k: v.clone() for k, v in state.items()}, 'model.safetensors')
"""

from collections.abc import Mapping

import numpy as np

from jaxssl import errors
from jaxssl.models import positions
from jaxssl.weights import timm
from jaxssl.weights.timm import PyTree

Tensors = Mapping[str, np.ndarray]
_MOCO_V3 = 'module.base_encoder.'


def from_dino(tensors: Tensors, variables: PyTree) -> PyTree:
  """Puts DINO's tensors into the variables of a ViT or a ResNet.

  Understands `dino_deitsmall16_pretrain.pth` and its sisters (names of the
  backbone alone), and teacher and student of a full checkpoint, where the
  teacher is meant: `teacher.backbone.blocks.0...`, with or without `module.`.
  Heads are ignored.

  Args:
    tensors: arrays by name, for example of `safetensors_file.read`.
    variables: variables of the encoder: arrays or the result of
      `jax.eval_shape`.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  return timm.from_timm(named_dino(tensors), variables)


def named_dino(tensors: Tensors) -> Tensors:
  """Returns the tensors of DINO's encoder, or of its teacher, by timm's names.

  Args:
    tensors: as for `from_dino`.
  """
  named = tensors
  for prefix in ('teacher.', 'module.', 'backbone.'):
    named = _below(named, prefix) or named
  return named


def from_moco_v3(
  tensors: Tensors, variables: PyTree, *, position: str
) -> PyTree:
  """Puts MoCo v3's tensors into the variables of a ViT or a ResNet.

  Understands `vit-s-300ep.pth.tar` and its sisters: the trained encoder is
  `module.base_encoder.*`; the slow one, heads and predictor are ignored. The
  table of positions is fixed and must be the encoder's own.

  Args:
    tensors: arrays by name, for example of `safetensors_file.read`.
    variables: variables of the encoder: arrays or the result of
      `jax.eval_shape`.
    position: the encoder's attribute of that name; 'none' for a ResNet.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: no such encoder in it; tensors missing, left over or of another
      shape.
  """
  named = named_moco_v3(tensors)
  if not named:
    raise errors.UserError(
      f'no tensor is called {_MOCO_V3}*, as those of MoCo v3 are; for a file '
      "in timm's names use `jaxssl import timm`"
    )
  if positions.is_fixed_table(named.get('pos_embed'), position):
    del named['pos_embed']
  return timm.from_timm(named, variables)


def named_moco_v3(tensors: Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors of MoCo v3's trained encoder by timm's names.

  Args:
    tensors: as for `from_moco_v3`.
  """
  return _below(tensors, _MOCO_V3)


def _below(tensors: Tensors, prefix: str) -> dict[str, np.ndarray]:
  """Returns the tensors whose names start so, without the prefix."""
  return {
    name.removeprefix(prefix): tensor
    for name, tensor in tensors.items()
    if name.startswith(prefix)
  }
