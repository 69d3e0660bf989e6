"""An encoder as one program: pixels in, features out.

`weights.stablehlo` and `weights.onnx_file` write it for others to run.
"""

from collections.abc import Callable, Collection, Mapping
import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxssl import atomic_file, models
from jaxssl.errors import UserError
from jaxssl.weights.exported import ExportedEncoder

PyTree = Any
Outputs = dict[str, jax.Array]
INPUT = 'pixels'
# Of every encoder's section: what a program has no use for.
_PLAIN = {'dtype': 'float32', 'remat': False}
# The program computes in float32, and both sides may add in another order.
_TOLERANCE = 1e-4
# A number of rows that nothing else in a network has.
_ROWS = 3


def of(exported: ExportedEncoder) -> Callable[[PyTree, jax.Array], Outputs]:
  """Returns the program of an encoder.

  It takes the variables and pixels [b, S, S, C] (`dtype_of`) of pictures that
  were resized and cut, normalises them and encodes. It returns 'features'
  float32 [b, D] and, of a vision transformer, 'patches' float32 [b, N, D], the
  tokens after the final norm.

  It computes in float32 whatever the encoder was trained in: cuDNN's attention
  of half precision is a call that JAX does not promise to understand later,
  and cannot be lowered for other platforms in one file.

  Args:
    exported: the encoder.
  """
  section = dict(exported.section)
  section |= {k: v for k, v in _PLAIN.items() if k in section}
  encoder = models.make_encoder(**section)

  def run(variables: PyTree, pixels: jax.Array) -> Outputs:
    found: Any = encoder.apply(variables, exported.normalize(pixels))
    features, out = found
    patches = {'patches': out['patches']} if 'patches' in out else {}
    return {'features': features, **patches}

  return run


def shape_of(exported: ExportedEncoder, batch: Any) -> tuple[Any, ...]:
  """Returns the shape of the pixels, with this number of rows."""
  size = exported.image_size
  return batch, size, size, len(exported.mean)


def dtype_of(exported: ExportedEncoder) -> type[np.unsignedinteger[Any]]:
  """Returns the type of pixels: 8 bits, or 16 of other channels than RGB."""
  return np.uint8 if exported.preprocessing.bands is None else np.uint16


def require_equal(
  exported: ExportedEncoder,
  found: Callable[[np.ndarray], Mapping[str, ArrayLike]],
  names: Collection[str] | None = None,
) -> float:
  """Compares what was written with the encoder, on noise: one row, and three.

  Args:
    exported: the encoder.
    found: runs what was written, pixels -> outputs by name.
    names: the outputs that are compared; None for all.

  Returns:
    The largest difference of an output over its largest value.

  Raises:
    UserError: if it is above 1e-4.
  """
  rng = np.random.default_rng(0)
  dtype = dtype_of(exported)
  shape, most = shape_of(exported, _ROWS), np.iinfo(dtype).max
  pixels = rng.integers(0, most, shape, dtype, endpoint=True)
  expected = jax.jit(of(exported))(exported.variables, pixels)
  error = 0.0
  for rows in (1, _ROWS):
    theirs = found(pixels[:rows])
    for name in expected if names is None else names:
      ours = expected[name][:rows]
      error = max(error, _error(np.asarray(theirs[name]), ours))
  require_small(error)
  return error


def require_small(error: float) -> None:
  """Raises a `UserError` for features that differ too much.

  Args:
    error: a difference over the largest value.
  """
  if not error < _TOLERANCE:
    raise UserError(
      f'what was written gives other features than the encoder (by {error:.1g} '
      f'of the largest, not below {_TOLERANCE:g}) and is not kept'
    )


def write_preprocessing(out: pathlib.Path, exported: ExportedEncoder) -> None:
  """Writes `preprocessing.json`: what makes the pixels from a picture.

  Its mean and deviation are in the program already.

  Args:
    out: the folder.
    exported: the encoder.
  """
  rule = dataclasses.asdict(exported.preprocessing)
  text = json.dumps(rule, indent=2) + '\n'
  atomic_file.write_text(out / 'preprocessing.json', text)


def _error(found: np.ndarray, expected: ArrayLike) -> float:
  expected = np.asarray(expected)
  if found.shape != expected.shape:
    return np.inf
  error = float(np.abs(found - expected).max() / np.abs(expected).max())
  return np.inf if np.isnan(error) else error  # NaN would pass `max`
