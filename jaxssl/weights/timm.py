"""Weights from and to timm's encoders, by one rule.

Names: the path of a variable joined by dots, where a last `_<number>` of a part
is a part of its own: `blocks_3/attn/qkv/kernel` is `blocks.3.attn.qkv.weight`,
`layer1_0/conv1/kernel` is `layer1.0.conv1.weight`. Last parts: `kernel` and
`scale` are `weight`; the batch statistics `mean` and `var` are `running_mean`
and `running_var`; all others stay.

Layout: Dense kernels [in, out] are transposed; convolution kernels
[h, w, in, out] become [out, in, h, w].
"""

from collections.abc import Mapping, Sequence
import math
import re
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxssl import errors
from jaxssl.models import positions
from jaxssl.weights.joined import joined

PyTree = Any
_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'mean': 'running_mean',
  'var': 'running_var',
}
# A classifier is not the encoder's; PyTorch's BatchNorm counts its batches.
# What a ConvNeXt has before it is. MAE's authors store the decoder beside it.
_IGNORED = re.compile(
  r'(fc|head)\.(?!norm\.|pre_logits\.).*|.*\.num_batches_tracked|decoder_.*'
)
# MLPs that the small sizes of ConvNeXt store as 1x1 convolutions.
_CONV_MLP = re.compile(r'stages\.\d+\.blocks\.\d+\.mlp\.fc[12]\.weight')
# LayerScale of timm's `Eva`, which DINOv3 is there.
_GAMMA = re.compile(r'(blocks\.\d+)\.gamma_([12])')
_SHOWN = 3


def from_timm(
  tensors: Mapping[str, np.ndarray],
  variables: PyTree,
  *,
  antialias: bool = True,
) -> PyTree:
  """Puts timm's tensors into the variables of an encoder.

  Tensors of the classifier (`fc.*`, `head.*`, but not ConvNeXt's `head.norm`)
  and of MAE's decoder, `num_batches_tracked`, and a mask token that the encoder
  has not, are ignored. Position embeddings of another grid are
  interpolated (`positions.interpolate`), both grids being square. A mask token
  that the file lacks keeps its value of `variables`. A sin-cos table is left
  out where the encoder has no learned positions. What `Eva` stores apart is
  joined (`weights.joined`).

  Args:
    tensors: arrays by timm's names, for example of `safetensors_file.read`.
    variables: variables of the encoder, {'params': ..., 'batch_stats': ...}:
      arrays or the result of `jax.eval_shape`.
    antialias: the encoder's attribute of that name.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(variables)
  wanted = {_timm_name(path): path for path in flat}
  given = named(tensors)
  if 'mask_token' in wanted:
    own = _value(flat[wanted['mask_token']])
    given = given if own is None else {'mask_token': own, **given}
  else:
    given.pop('mask_token', None)
  if 'pos_embed' not in wanted and _is_fixed(given.get('pos_embed')):
    del given['pos_embed']  # the encoder has it without a variable
  prefix = _count_prefix(flat, wanted)
  problems = [f'{n} is missing' for n in wanted if given.get(n) is None]
  problems += [f'{n} is not used' for n in given if n not in wanted]
  loaded = {}
  for name, path in wanted.items():
    if given.get(name) is None:
      continue
    array, shape = _from_torch(given[name], name), tuple(flat[path].shape)
    if name == 'pos_embed' and array.ndim == 3:
      array = _regrid(array, shape[1], prefix, antialias)
    if array.shape != shape:
      problems.append(f'{name} has shape {array.shape}, not {shape}')
    loaded[path] = array
  if problems:
    raise _mismatch(problems)
  return traverse_util.unflatten_dict(loaded)


def named(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the tensors of an encoder as this file's rule names them.

  Without those of a classifier; what `Eva` stores apart is joined.

  Args:
    tensors: arrays by the names of timm's `VisionTransformer`, `Eva`,
      `ConvNeXt` or `ResNet`.
  """
  return joined(
    {
      _GAMMA.sub(r'\1.ls\2.gamma', name): _as_matrix(name, tensor)
      for name, tensor in tensors.items()
      if not _IGNORED.fullmatch(name)
    }
  )


def to_timm(variables: PyTree) -> dict[str, np.ndarray]:
  """Returns an encoder's variables as timm's tensors, float32 by name.

  A mask token is left out: timm's encoders have none. timm has no fixed
  position tables either: they are not variables, so a file for timm needs
  `pos_embed` from `models.positions` beside these tensors.

  Args:
    variables: variables of an encoder, {'params': ..., 'batch_stats': ...}.
  """
  flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(variables)
  values = {_timm_name(path): value for path, value in flat.items()}
  found = {name: _to_torch(value, name) for name, value in values.items()}
  found.pop('mask_token', None)
  return found


def _timm_name(path: tuple[str, ...]) -> str:
  """Returns timm's name of the variable at (collection, module, ..., leaf)."""
  *modules, leaf = path[1:]
  modules = [re.sub(r'_(\d+)$', r'.\1', module) for module in modules]
  return '.'.join([*modules, _LEAVES.get(leaf, leaf)])


def _from_torch(tensor: ArrayLike, name: str) -> np.ndarray:
  array = np.asarray(tensor, np.float32)
  if array.ndim == 4:
    return array.transpose(2, 3, 1, 0)
  return array.T if _is_kernel(array, name) else array


def _to_torch(value: ArrayLike, name: str) -> np.ndarray:
  array = np.asarray(value, np.float32)
  if array.ndim == 4:
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
  return np.ascontiguousarray(array.T) if _is_kernel(array, name) else array


def _as_matrix(name: str, tensor: np.ndarray) -> np.ndarray:
  is_conv = _CONV_MLP.fullmatch(name) and np.shape(tensor)[2:] == (1, 1)
  return tensor[:, :, 0, 0] if is_conv else tensor


def _is_kernel(array: np.ndarray, name: str) -> bool:
  """Whether a matrix multiplies; tables of tokens are looked up instead."""
  return array.ndim == 2 and name != 'tok_embed'


def _value(leaf: Any) -> np.ndarray | None:
  """Returns the leaf, or None for a leaf of `jax.eval_shape`."""
  return None if isinstance(leaf, jax.ShapeDtypeStruct) else leaf


def _count_prefix(
  flat: Mapping[tuple[str, ...], Any], wanted: Mapping[str, tuple[str, ...]]
) -> int:
  """Returns the number of class and register tokens."""
  names = [n for n in ('cls_token', 'reg_token') if n in wanted]
  return sum(flat[wanted[name]].shape[1] for name in names)


def _is_fixed(table: np.ndarray | None) -> bool:
  if table is None or table.ndim != 3:
    return False
  # With a row for the class token, as other releases have it.
  table = np.pad(np.asarray(table, np.float32), [(0, 0), (1, 0), (0, 0)])
  return any(positions.is_fixed_table(table, name) for name in positions.SINCOS)


def _regrid(
  table: np.ndarray, length: int, prefix: int, antialias: bool
) -> np.ndarray:
  """Interpolates positions [1, n, D] to `length` if both grids are square."""
  if table.shape[1] == length:
    return table
  for count in (prefix, 0):  # 0: timm's `no_embed_class=True`
    old, new = _side(table.shape[1] - count), _side(length - count)
    if old and new:
      patches = positions.interpolate(
        jnp.asarray(table[0, count:]),
        (old, old),
        (new, new),
        antialias=antialias,
      )
      return np.concatenate([table[0, :count], np.asarray(patches)])[None]
  return table


def _side(count: int) -> int:
  """Returns the side of a square of `count`, or 0 if it is none."""
  side = math.isqrt(max(count, 0))
  return side if side * side == count else 0


def _mismatch(problems: Sequence[str]) -> errors.UserError:
  first = '; '.join(problems[:_SHOWN])
  rest = len(problems) - _SHOWN
  more = f'; and {rest} more' if rest > 0 else ''
  return errors.UserError(
    f'these weights are of another architecture: {first}{more}'
  )
