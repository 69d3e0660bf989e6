"""`jaxssl export`: the encoder of a workdir, for use elsewhere."""

import argparse
from collections.abc import Sequence
import logging
import pathlib

from jaxssl import atomic_file
from jaxssl.arguments.targets import refuse_existing
from jaxssl.errors import UserError, unknown
from jaxssl.runs import encoders, exported_pair
from jaxssl.train.workdir import Workdir
from jaxssl.weights import huggingface_folder, timm_model
from jaxssl.weights.exported import save_encoder

FORMATS = ('safetensors', 'timm', 'huggingface')
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
  known: bool | None = None  # to timm
  model = 'CLIPModel'  # to transformers
  with atomic_file.folder(out) as partial:
    if arguments.format == 'huggingface' and exported_pair.has_text(workdir):
      exported_pair.save(partial, workdir, step=arguments.step)
    elif arguments.format == 'huggingface':
      exported = encoders.load(workdir, step=arguments.step)
      model = huggingface_folder.save(partial, exported)
    elif arguments.format == 'safetensors':
      save_encoder(partial, encoders.load(workdir, step=arguments.step))
    else:
      exported = encoders.load(workdir, step=arguments.step)
      known = timm_model.save(partial, exported)
  _log.info('wrote %s (%s)', out, arguments.format)
  if known is not None:
    _say_how(out, known)
  elif arguments.format == 'huggingface':
    print(f'transformers.{model}.from_pretrained({str(out.absolute())!r})')
  return 0


def _say_how(out: pathlib.Path, known: bool) -> None:
  """Prints the line that makes the model, ready to paste."""
  if known:
    name = f'local-dir:{out.absolute()}'
    print(f'timm.create_model({name!r}, pretrained=True)')
  else:
    _log.warning(
      'timm has no model of this architecture (see docs/command_line.md#export)'
      '; jaxssl import timm reads the folder'
    )
