"""Arithmetic of the products and convolutions in a compiled program.

A product and a sum count as two. Everything else is left out: it is done in the
shadow of the memory.
"""

from collections.abc import Mapping, Sequence
import json
import math
import re

from jaxssl.planning import hlo

Results = Mapping[str, Sequence[hlo.Array]]
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_CONFIG = re.compile(r'backend_config=(\{.*\})')
_CONTRACTED = re.compile(r'lhs_contracting_dims=\{([0-9,]*)\}')
_LABELS = re.compile(r'dim_labels=\w+_(\w+)->\w+')
# Products of the forward and the backward pass of attention: q k^T and p v;
# q k^T again, dp, dv, dq and dk.
_ATTENTION = {'Backward': 5, '': 2}


def flops(
  instruction: hlo.Instruction,
  results: Results,
  body: Sequence[hlo.Instruction] = (),
) -> float:
  """Returns the FLOPs of an instruction.

  Args:
    instruction: a product, a convolution, a call of cuBLAS or cuDNN, or a
      fusion that may contain the first two.
    results: of all instructions beside it, by name.
    body: what a fusion computes.
  """
  target = _TARGET.search(instruction.attributes)
  if target:
    return _of_library(target.group(1), instruction, results)
  if body:
    inside = {each.name: each.results for each in body}
    return sum(flops(each, inside) for each in body)
  if instruction.op == 'dot':
    sides = _CONTRACTED.search(instruction.attributes)
    return _of_dot(instruction, results, sides.group(1) if sides else '')
  if instruction.op == 'convolution':
    out, kernel = instruction.results[0], _operand(instruction, results, 1)
    return _of_convolution(instruction, out, kernel)
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
    return _of_convolution(instruction, second, result)
  if target.endswith('BackwardInput'):
    return _of_convolution(instruction, first, second)
  return _of_convolution(instruction, result, second)


def _of_convolution(
  instruction: hlo.Instruction, out: hlo.Array, kernel: hlo.Array
) -> float:
  """Counts what each output pixel sums up, padding included."""
  labels = _LABELS.search(instruction.attributes)
  features = kernel.shape[labels.group(1).index('o')] if labels else 1
  return 2.0 * out.size * kernel.size / features


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
