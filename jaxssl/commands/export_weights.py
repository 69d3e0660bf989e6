"""`jaxssl export`: the encoder of a workdir, for use elsewhere."""

import argparse
from collections.abc import Mapping, Sequence
import json
import logging
import pathlib
from typing import Any

from jaxssl import atomic_file
from jaxssl.arguments.targets import refuse_existing
from jaxssl.errors import UserError, unknown
from jaxssl.runs import encoders, exported_pair
from jaxssl.train.workdir import Workdir
from jaxssl.weights import preprocessors, safetensors_file, timm
from jaxssl.weights.exported import ExportedEncoder, save_encoder

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
  with atomic_file.folder(out) as partial:
    if arguments.format == 'huggingface':
      exported_pair.save(partial, workdir, step=arguments.step)
    elif arguments.format == 'safetensors':
      save_encoder(partial, encoders.load(workdir, step=arguments.step))
    else:
      _save_timm(partial, encoders.load(workdir, step=arguments.step))
  _log.info('wrote %s (%s)', out, arguments.format)
  return 0


def _save_timm(out: pathlib.Path, exported: ExportedEncoder) -> None:
  try:
    out.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(
      out / 'model.safetensors', timm.to_timm(exported.variables)
    )
    info = {
      'num_classes': 0,
      'pretrained_cfg': {
        **preprocessors.to_timm(exported.preprocessing),
        'num_classes': 0,
      },
      **_untold(exported.section),
    }
    (out / 'config.json').write_text(json.dumps(info, indent=2) + '\n')
  except OSError as error:
    raise UserError(f'cannot write {str(out)!r}: {error.strerror}') from error


def _untold(section: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what the tensors do not tell of a vision transformer.

  timm has arguments for the first two; LayerNorm's epsilon belongs to the name
  of an architecture there, and is written as transformers has it.
  """
  if 'num_heads' not in section:
    return {}
  arguments = {'num_heads': section['num_heads'], 'act_layer': section['act']}
  return {'model_args': arguments, 'layer_norm_eps': section['epsilon']}
