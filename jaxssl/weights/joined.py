"""Tensors of a block that libraries store apart, and that are one here.

Query, key and value are one matrix `attn.qkv`; the gate of an MLP and what it
gates are one matrix `mlp.fc1`, the gate first. A bias of queries, keys or
values that a model does not have is zero.
"""

from collections.abc import Mapping
import re

import numpy as np

_QKV = re.compile(
  r'(.*\.attn\.)(?:(query|key|value|q|k|v)\.|([qkv])_)(weight|bias)'
)
_GATED = re.compile(r'(.*\.mlp\.)fc1_([gx])\.(weight|bias)')
_WEIGHT = '.attn.qkv.weight'


def joined(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Joins what belongs together.

  What does not fit together is left out, so that it is reported as missing.

  Args:
    tensors: arrays in timm's names, but for parts such as
      `blocks.0.attn.query.weight` (or `q`), `blocks.0.attn.q_bias` and
      `blocks.0.mlp.fc1_g.weight` (the gate) beside `fc1_x`.
  """
  whole: dict[str, np.ndarray] = {}
  qkv: dict[str, dict[str, np.ndarray]] = {}
  gated: dict[str, dict[str, np.ndarray]] = {}
  for name, tensor in tensors.items():
    if match := _QKV.fullmatch(name):
      part = (match[2] or match[3])[0]
      qkv.setdefault(f'{match[1]}qkv.{match[4]}', {})[part] = np.asarray(tensor)
    elif match := _GATED.fullmatch(name):
      gated.setdefault(f'{match[1]}fc1.{match[3]}', {})[match[2]] = np.asarray(
        tensor
      )
    else:
      whole[name] = tensor
  for name, parts in qkv.items():
    if name.endswith('.bias') and set(parts) == {'q', 'v'}:
      parts = {**parts, 'k': np.zeros_like(parts['q'])}
    _put(whole, name, parts, 'qkv')
  for name, parts in gated.items():
    _put(whole, name, parts, 'gx')
  return _with_biases(whole)


def _put(
  whole: dict[str, np.ndarray],
  name: str,
  parts: Mapping[str, np.ndarray],
  order: str,
) -> None:
  shapes = {part.shape for part in parts.values()}
  if set(parts) == set(order) and len(shapes) == 1 and shapes != {()}:
    whole[name] = np.concatenate([parts[part] for part in order])


def _with_biases(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Puts zeros where no block has a bias of its queries, keys and values."""
  names = [name for name in tensors if name.endswith(_WEIGHT)]
  biases = {name: f'{name.removesuffix("weight")}bias' for name in names}
  if any(bias in tensors for bias in biases.values()):
    return tensors
  zeros = {
    bias: np.zeros(len(tensors[name]), np.float32)
    for name, bias in biases.items()
    if np.ndim(tensors[name])
  }
  return tensors | zeros
