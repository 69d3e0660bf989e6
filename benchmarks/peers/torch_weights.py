"""Weights of jaxssl in models of timm and heads of lightly."""

from typing import Any

import numpy as np
import torch
from torch import nn

from jaxssl.weights import timm as timm_weights

PyTree = Any


def load_encoder(
  model: nn.Module, variables: PyTree, *, computed: tuple[str, ...] = ()
) -> None:
  """Gives timm's model the weights of ours.

  Args:
    model: of timm.
    variables: of the same encoder in jaxssl.
    computed: tensors of timm's that ours computes, such as fixed positions.

  Raises:
    ValueError: a weight that only one side has.
  """
  tensors = timm_weights.to_timm(variables)
  tensors = {name: torch.tensor(t) for name, t in tensors.items()}
  missing, unexpected = model.load_state_dict(tensors, strict=False)
  missing = [
    name
    for name in missing
    if name not in computed and not name.endswith('num_batches_tracked')
  ]
  if missing or unexpected:
    raise ValueError(f'missing {missing}, unexpected {unexpected}')


def load_head(module: nn.Module, params: PyTree) -> None:
  """Gives a stack of layers the `dense_i`, `bn_i` and `last_layer` of ours."""
  last = getattr(module, 'last_layer', None)
  layers = [m for m in module.modules() if m is not last]
  dense = [m for m in layers if isinstance(m, nn.Linear)]
  norms = [m for m in layers if isinstance(m, nn.BatchNorm1d)]
  with torch.no_grad():
    for i, layer in enumerate(dense):
      _copy(layer.weight, params[f'dense_{i}']['kernel'].T)
      if layer.bias is not None:
        _copy(layer.bias, params[f'dense_{i}']['bias'])
    for i, norm in enumerate(norms):
      if norm.affine:
        ours = params[f'bn_{i}']
        _copy(norm.weight, ours['scale'])
        _copy(norm.bias, ours.get('bias', np.zeros_like(ours['scale'])))
    if last is not None:
      _copy(last.weight_v, params['last_layer']['kernel'].T)


def _copy(target: torch.Tensor, value: Any) -> None:
  target.copy_(torch.tensor(np.array(value, np.float32)))
