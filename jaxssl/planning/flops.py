"""Counts the arithmetic of a function from its trace."""

from collections.abc import Callable, Iterator, Sequence
import functools
import math
from typing import Any

import jax
from jax.extend import core


def matmul_flops(
  fn: Callable[..., Any], *args: Any, platform: str = 'cpu'
) -> float:
  """Returns the FLOPs of all matrix products and convolutions of `fn(*args)`.

  A product and a sum count as two. Nothing is computed or compiled. The body of
  a loop with a known number of rounds counts so many times; of the branches of
  a condition the dearest counts. What `jax.checkpoint` computes again is
  counted again, and so is what nothing uses, such as the gradient of the
  pictures: a compiler leaves it out.

  Args:
    fn: a function that JAX can trace.
    *args: arrays or `jax.ShapeDtypeStruct`.
    platform: `'cpu'`, `'cuda'` or `'tpu'`. Of the branches of
      `jax.lax.platform_dependent`, its own counts.
  """
  return _of_jaxpr(jax.make_jaxpr(fn)(*args).jaxpr, platform)


def _of_jaxpr(jaxpr: core.Jaxpr, platform: str) -> float:
  return sum(_of_equation(equation, platform) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn, platform: str) -> float:
  name = equation.primitive.name
  if name == 'dot_general':
    return _of_dot(equation)
  if name == 'conv_general_dilated':
    return _of_convolution(equation)
  inner = [_of_jaxpr(jaxpr, platform) for jaxpr in _jaxprs(equation.params)]
  if name == 'cond':
    return _of_branch(
      inner, equation.params.get('branches_platforms'), platform
    )
  rounds = equation.params['length'] if name == 'scan' else 1
  devices = 1
  if name == 'shard_map':
    mesh = equation.params['mesh']
    devices = math.prod(mesh.shape.values())
  return rounds * devices * sum(inner)


def _of_branch(
  branches: Sequence[float],
  platforms: Sequence[tuple[str, ...] | None] | None,
  platform: str,
) -> float:
  if platforms is None:  # which one runs, the data tells
    return max(branches)
  own = [platform in names if names else True for names in platforms]
  return branches[own.index(True)]


def _shape(variable: Any) -> tuple[int, ...]:
  # Of an array, as all are here; JAX's `AbstractValue` itself has no shape.
  return variable.aval.shape


def _of_dot(equation: core.JaxprEqn) -> float:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = _shape(equation.invars[0])
  summed = math.prod(left[axis] for axis in contracted)
  return 2.0 * math.prod(_shape(equation.outvars[0])) * summed


def _of_convolution(equation: core.JaxprEqn) -> float:
  """Counts products with the zeros of padding and dilation out.

  Of each axis of the window, only the places count that meet a pixel.
  """
  params = equation.params
  numbers = params['dimension_numbers']
  image, kernel = map(_shape, equation.invars)
  out = _shape(equation.outvars[0])
  channels = kernel[numbers.rhs_spec[1]]
  places = 1
  for axis in range(len(params['window_strides'])):
    places *= pairs_met(
      size=image[numbers.lhs_spec[axis + 2]],
      window=kernel[numbers.rhs_spec[axis + 2]],
      out=out[numbers.out_spec[axis + 2]],
      stride=params['window_strides'][axis],
      low=params['padding'][axis][0],
      image_dilation=params['lhs_dilation'][axis],
      window_dilation=params['rhs_dilation'][axis],
    )
  rows, features = out[numbers.out_spec[0]], out[numbers.out_spec[1]]
  return 2.0 * rows * features * places * channels / params['batch_group_count']


@functools.cache
def pairs_met(
  *,
  size: int,
  window: int,
  out: int,
  stride: int,
  low: int,
  image_dilation: int,
  window_dilation: int,
) -> int:
  """Counts pairs of output and window place that meet a pixel, on one axis.

  Args:
    size: size of the image.
    window: size of the kernel.
    out: size of the result.
    stride: stride of the window.
    low: padding before the image.
    image_dilation: distance of the pixels, with zeros in between.
    window_dilation: distance of the window's places.
  """
  total = 0
  for place in range(out):
    for tap in range(window):
      at = place * stride - low + tap * window_dilation
      inside = 0 <= at <= (size - 1) * image_dilation
      total += inside and at % image_dilation == 0
  return total


def _jaxprs(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
  for value in params.values():
    for each in value if isinstance(value, tuple | list) else (value,):
      # Closed over constants, it is of a class of its own before JAX 0.12.
      inner = getattr(each, 'jaxpr', each)
      if isinstance(inner, core.Jaxpr):
        yield inner
