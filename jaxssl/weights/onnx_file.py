"""An encoder as ONNX, converted by jax2onnx and compared in ONNX Runtime."""

from collections.abc import Generator
import contextlib
import functools
import importlib
import logging
import pathlib
from typing import Any

import jax
import numpy as np

from jaxssl.data.optional import require
from jaxssl.errors import UserError
from jaxssl.weights import program
from jaxssl.weights.exported import ExportedEncoder
from jaxssl.weights.one_branch import with_one_branch

FILE = 'encoder.onnx'
# jax2onnx pools over all four axes, ONNX Runtime over three at most.
_NOT_RUN = 'reduce_window_max'
# These tell, at length, of parts of themselves that are not needed here.
_TALKATIVE = ('jax2onnx', 'onnx_ir')


def save(out: pathlib.Path, exported: ExportedEncoder) -> float:
  """Writes `encoder.onnx`, and how pictures are prepared.

  Large weights lie beside it, in `encoder.onnx.data`. Then ONNX Runtime runs
  the file on the CPU, and the features are compared.

  Args:
    out: the folder.
    exported: the encoder.

  Returns:
    The largest difference of the features over the largest of them.

  Raises:
    UserError: if jax2onnx is not installed or cannot convert the encoder, or
      the features differ.
  """
  runtime = require('onnxruntime', extra='onnx')
  _convert(out / FILE, exported)
  program.write_preprocessing(out, exported)
  session = runtime.InferenceSession(
    str(out / FILE), providers=['CPUExecutionProvider']
  )
  names = [output.name for output in session.get_outputs()]

  def run(pixels: np.ndarray) -> dict[str, np.ndarray]:
    found = session.run(names, {program.INPUT: pixels})
    return dict(zip(names, found, strict=True))

  return program.require_equal(exported, run)


def _convert(path: pathlib.Path, exported: ExportedEncoder) -> None:
  to_onnx = _converter()
  run = functools.partial(program.of(exported), exported.variables)
  shapes = jax.eval_shape(
    run,
    jax.ShapeDtypeStruct(
      program.shape_of(exported, 1), program.dtype_of(exported)
    ),
  )
  names = list(shapes)

  def outputs(pixels: jax.Array) -> tuple[jax.Array, ...]:
    found = run(pixels)
    return tuple(found[name] for name in names)

  path.parent.mkdir(parents=True, exist_ok=True)
  try:
    # Its own form of `nn.Conv` adds a bias to more axes than it has.
    with _quiet(), jax.numpy_rank_promotion('allow'):
      to_onnx(
        with_one_branch(outputs, without=_NOT_RUN),
        [_Pixels(exported)],
        model_name=exported.section['name'],
        input_names=[program.INPUT],
        output_names=names,
        return_mode='file',
        output_path=str(path),
      )
  # Each operation has a converter of its own, which fails in its own way.
  except Exception as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise UserError(
      f'jax2onnx cannot convert encoder {exported.section["name"]!r}: {reason}'
    ) from error


class _Pixels:
  """Shape and type of pixels, the number of rows free."""

  def __init__(self, exported: ExportedEncoder) -> None:
    self.shape = program.shape_of(exported, 'batch')
    self.dtype = np.dtype(program.dtype_of(exported))


def _converter() -> Any:
  try:
    return importlib.import_module('jax2onnx').to_onnx
  except ModuleNotFoundError as error:
    raise UserError(
      'jax2onnx is not installed; pip install "jaxssl[onnx]", then pip install '
      '--no-deps jax2onnx (docs/exports.md says why)'
    ) from error


@contextlib.contextmanager
def _quiet() -> Generator[None]:
  loggers = [logging.getLogger(name) for name in _TALKATIVE]
  levels = [logger.level for logger in loggers]
  for logger in loggers:
    logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)
