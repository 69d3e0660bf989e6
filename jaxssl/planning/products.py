"""Arithmetic of the products and convolutions in a compiled program.

A product and a sum count as two. Everything else is left out: it is done in the
shadow of the memory.
"""

from collections.abc import Mapping, Sequence
import json
import math
import re

from jaxssl.planning import hlo
from jaxssl.planning.flops import pairs_met

Results = Mapping[str, Sequence[hlo.Array]]
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_CONFIG = re.compile(r'backend_config=(\{.*\})')
_CONTRACTED = re.compile(r'lhs_contracting_dims=\{([0-9,]*)\}')
_LABELS = re.compile(r'dim_labels=(\w+)_(\w+)->(\w+)')
_WINDOW = re.compile(r'window=\{([^}]*)\}')
# Products of the forward and the backward pass of attention: q k^T and p v;
# q k^T again, dp, dv, dq and dk.
_ATTENTION = {'Backward': 5, '': 2}


def flops(instruction: hlo.Instruction, results: Results) -> float:
  """Returns the FLOPs of a product, a convolution, or a call of a library.

  Args:
    instruction: any other one has none.
    results: results of all instructions beside it, by name.
  """
  target = _TARGET.search(instruction.attributes)
  if target:
    return _of_library(target.group(1), instruction, results)
  if instruction.op == 'dot':
    sides = _CONTRACTED.search(instruction.attributes)
    return _of_dot(instruction, results, sides.group(1) if sides else '')
  if instruction.op == 'convolution':
    image, kernel = (_operand(instruction, results, i) for i in (0, 1))
    return _of_convolution(instruction, image, kernel, instruction.results[0])
  return 0.0


def _of_library(
  target: str, instruction: hlo.Instruction, results: Results
) -> float:
  if target.startswith('__cublas$'):
    return _of_dot(instruction, results, _contracted(instruction))
  if target.startswith('__cudnn$conv'):
    return _of_cudnn_convolution(target, instruction, results)
  if target.startswith('__cudnn$fmha'):
    return _of_attention(target, instruction, results)
  return 0.0


def _contracted(instruction: hlo.Instruction) -> str:
  config = _CONFIG.search(instruction.attributes)
  gemm = json.loads(config.group(1))['gemm_backend_config'] if config else {}
  numbers = gemm.get('dot_dimension_numbers', {})
  return ','.join(numbers.get('lhs_contracting_dimensions', ()))


def _of_dot(
  instruction: hlo.Instruction, results: Results, contracted: str
) -> float:
  left = _operand(instruction, results, 0).shape
  summed = math.prod(left[int(s)] for s in contracted.split(',') if s)
  return 2.0 * instruction.results[0].size * summed


def _of_cudnn_convolution(
  target: str, instruction: hlo.Instruction, results: Results
) -> float:
  result = instruction.results[0]
  first, second = (_operand(instruction, results, i) for i in (0, 1))
  if target.endswith('BackwardFilter'):
    return _of_convolution(instruction, first, result, second)
  if target.endswith('BackwardInput'):
    return _of_convolution(instruction, result, second, first)
  return _of_convolution(instruction, first, second, result)


def _of_convolution(
  instruction: hlo.Instruction,
  image: hlo.Array,
  kernel: hlo.Array,
  out: hlo.Array,
) -> float:
  """Counts the places of the window that meet a pixel, as `flops` does.

  A TPU's compiler writes a product of batches so, as a convolution with a
  window over the batch, of which all but one place lies in the padding.
  """
  labels = _LABELS.search(instruction.attributes)
  if not labels:
    return 0.0
  image_labels, kernel_labels, out_labels = labels.groups()
  axes = [label for label in kernel_labels if label.isdigit()]
  window = _window(instruction, len(axes))
  places = 1
  for axis in axes:
    low, _ = window['pad'][int(axis)].split('_')
    places *= pairs_met(
      size=image.shape[image_labels.index(axis)],
      window=kernel.shape[kernel_labels.index(axis)],
      out=out.shape[out_labels.index(axis)],
      stride=int(window['stride'][int(axis)]),
      low=int(low),
      image_dilation=int(window['lhs_dilate'][int(axis)]),
      window_dilation=int(window['rhs_dilate'][int(axis)]),
    )
  channels = kernel.shape[kernel_labels.index('i')]
  pixels = math.prod(out.shape[out_labels.index(label)] for label in 'bf')
  return 2.0 * pixels * places * channels


def _window(
  instruction: hlo.Instruction, num_axes: int
) -> dict[str, list[str]]:
  """Returns what the text says of the window, by axis, or leaves out."""
  ones = ['1'] * num_axes
  window = {'stride': ones, 'lhs_dilate': ones, 'rhs_dilate': ones}
  window['pad'] = ['0_0'] * num_axes
  found = _WINDOW.search(instruction.attributes)
  for field in found.group(1).split() if found else ():
    name, _, values = field.partition('=')
    window[name] = values.split('x')
  return window


def _of_attention(
  target: str, instruction: hlo.Instruction, results: Results
) -> float:
  """Counts the whole square of logits, or half of it for a causal mask."""
  q, k = (_operand(instruction, results, i) for i in (0, 1))
  backward = 'Backward' if 'Backward' in target else ''
  causal = 'CAUSAL"' in instruction.attributes
  square = q.size * k.shape[1] * (0.5 if causal else 1.0)
  return 2.0 * _ATTENTION[backward] * square


def _operand(
  instruction: hlo.Instruction, results: Results, place: int
) -> hlo.Array:
  return results[instruction.operands[place]][0]
