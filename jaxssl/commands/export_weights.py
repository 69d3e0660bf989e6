"""`jaxssl export`: the encoder of a workdir, for use elsewhere."""

import argparse
from collections.abc import Callable, Sequence
import functools
import logging
import pathlib

from jaxssl import atomic_file
from jaxssl.arguments.targets import refuse_existing
from jaxssl.errors import UserError, unknown
from jaxssl.runs import encoders, exported_pair
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  huggingface_folder,
  loaded_again,
  onnx_file,
  stablehlo,
  timm_model,
)
from jaxssl.weights.exported import ExportedEncoder, save_encoder

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('format', help=f'one of {", ".join(FORMATS)}')
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument('--out', required=True, help='folder to write')
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes the encoder, or a pair of them; never over something else."""
  if overrides:
    raise UserError('export takes no --config.* arguments')
  if arguments.format not in FORMATS:
    raise unknown('format', arguments.format, FORMATS)
  out = pathlib.Path(arguments.out)
  refuse_existing(out)
  workdir = Workdir(arguments.workdir)
  with atomic_file.folder(out) as partial:
    exported = encoders.load(workdir, step=arguments.step)
    say = FORMATS[arguments.format](partial, exported, workdir)
  _log.info('wrote %s (%s)', out, arguments.format)
  say(out.absolute())
  return 0


# Says how the folder is used, whose path it gets.
_Say = Callable[[pathlib.Path], None]


def _to_safetensors(
  out: pathlib.Path, exported: ExportedEncoder, workdir: Workdir
) -> _Say:
  del workdir
  save_encoder(out, exported)
  return lambda folder: None


def _to_timm(
  out: pathlib.Path, exported: ExportedEncoder, workdir: Workdir
) -> _Say:
  del workdir
  known = timm_model.save(out, exported)
  if known:
    loaded_again.by_timm(out, exported)
  return functools.partial(_say_how, known=known)


def _to_huggingface(
  out: pathlib.Path, exported: ExportedEncoder, workdir: Workdir
) -> _Say:
  if exported_pair.has_text(workdir):
    model = exported_pair.save(out, workdir, exported)
  else:
    model, written = huggingface_folder.save(out, exported)
    loaded_again.by_transformers(out, written)
  return lambda folder: print(
    f'transformers.{model}.from_pretrained({str(folder)!r})'
  )


def _to_stablehlo(
  out: pathlib.Path, exported: ExportedEncoder, workdir: Workdir
) -> _Say:
  del workdir
  error = stablehlo.save(out, exported)
  _log.info('loaded again and compared: features differ by %.1g', error)
  return lambda folder: print(
    'jax.export.deserialize(pathlib.Path('
    f'{str(folder / stablehlo.FILE)!r}).read_bytes())'
  )


def _to_onnx(
  out: pathlib.Path, exported: ExportedEncoder, workdir: Workdir
) -> _Say:
  del workdir
  error = onnx_file.save(out, exported)
  _log.info('run by ONNX Runtime: features differ by %.1g', error)
  return lambda folder: print(
    f'onnxruntime.InferenceSession({str(folder / onnx_file.FILE)!r})'
  )


FORMATS = {
  'safetensors': _to_safetensors,
  'timm': _to_timm,
  'huggingface': _to_huggingface,
  'stablehlo': _to_stablehlo,
  'onnx': _to_onnx,
}


def _say_how(folder: pathlib.Path, *, known: bool) -> None:
  """Prints the line that makes the model, ready to paste."""
  if known:
    name = f'local-dir:{folder}'
    print(f'timm.create_model({name!r}, pretrained=True)')
  else:
    _log.warning(
      'timm has no model of this architecture (see docs/command_line.md#export)'
      '; jaxssl import timm reads the folder'
    )
