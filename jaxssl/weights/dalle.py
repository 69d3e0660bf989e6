"""Weights of DALL-E's discrete VAE as its authors released it.

The release (openai/DALL-E) is two pickled PyTorch modules, `encoder.pkl` and
`decoder.pkl`, which only their own code can open. Where that is installed,

  model = dall_e.load_model('encoder.pkl', torch.device('cpu'))
  safetensors.torch.save_file(model.state_dict(), 'encoder.safetensors')

makes the file that is read here. Its layout: `blocks.input`, then
`blocks.group_G.block_B.res_path.conv_C` (G 1 to 4, B 1 and 2, C 1 to 4) and
`.id_path` where the width changes, then `blocks.output.conv`; each with `w`
[out, in, k, k] and `b` [out].
"""

from collections.abc import Mapping
import re
from typing import Any

from flax import traverse_util
import numpy as np

from jaxssl import errors

PyTree = Any
_LEAVES = {'kernel': 'w', 'bias': 'b'}
_SHOWN = 3


def from_dalle(tensors: Mapping[str, np.ndarray], variables: PyTree) -> PyTree:
  """Puts the authors' tensors into a `DVAEEncoder` or `DVAEDecoder`.

  Args:
    tensors: arrays by the authors' names (`safetensors_file.read`).
    variables: variables of the module, {'params': ...}: arrays or the result of
      `jax.eval_shape`.

  Returns:
    float32 variables of the same structure.

  Raises:
    UserError: tensors missing, left over or of another shape; names the first.
  """
  flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(variables)
  wanted = {dalle_name(path): path for path in flat}
  problems = [f'{name} is missing' for name in wanted if name not in tensors]
  problems += [f'{name} is not used' for name in tensors if name not in wanted]
  loaded = {}
  for name in wanted.keys() & tensors.keys():
    array = np.asarray(tensors[name], np.float32)
    array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    shape = tuple(flat[wanted[name]].shape)
    if array.shape != shape:
      problems.append(f'{name} has shape {array.shape}, not {shape}')
    loaded[wanted[name]] = array
  if problems:
    more = f'; and {len(problems) - _SHOWN} more'
    raise errors.UserError(
      f'these weights are not of this dVAE: {"; ".join(problems[:_SHOWN])}'
      + (more if len(problems) > _SHOWN else '')
    )
  return traverse_util.unflatten_dict(loaded)


def dalle_name(path: tuple[str, ...]) -> str:
  """Returns the authors' name of the variable at ('params', module, ...)."""
  *modules, leaf = path[1:]
  name = '.'.join(modules)
  name = re.sub(r'^(group_\d+)_(block_\d+)\.', r'\1.\2.', name)
  name = re.sub(r'\.(conv_\d+)$', r'.res_path.\1', name)
  name = 'output.conv' if name == 'output' else name
  return f'blocks.{name}.{_LEAVES[leaf]}'
