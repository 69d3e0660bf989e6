"""`jaxssl import`: weights of another library into a workdir."""

import argparse
from collections.abc import Sequence
import logging
import pathlib

from jaxssl import build, models
from jaxssl import config as config_lib
from jaxssl.augment.recipes import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.commands import import_pairs
from jaxssl.commands.targets import refuse_existing
from jaxssl.errors import UserError, unknown
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  dalle,
  huggingface,
  huggingface_pairs,
  model_folder,
  releases,
  safetensors_file,
  timm,
)
from jaxssl.weights.exported import (
  ExportedEncoder,
  abstract_variables,
  save_encoder,
)


def _from_timm(tensors, encoder, variables):
  del encoder
  return timm.from_timm(tensors, variables)


def _from_huggingface(tensors, encoder, variables):
  if any(name.startswith('vision_model.') for name in tensors):
    return huggingface_pairs.image_from_huggingface(tensors, variables)
  # Only vision transformers have positions; others fail by their names.
  position = getattr(encoder, 'position', 'none')
  return huggingface.from_huggingface(tensors, variables, position=position)


def _from_dalle(tensors, encoder, variables):
  del encoder
  return dalle.from_dalle(tensors, variables)


def _from_dino(tensors, encoder, variables):
  del encoder
  return releases.from_dino(tensors, variables)


def _from_moco_v3(tensors, encoder, variables):
  position = getattr(encoder, 'position', 'none')
  return releases.from_moco_v3(tensors, variables, position=position)


# (tensors by name, encoder, shapes of its variables) -> variables.
FORMATS = {
  'timm': _from_timm,
  'huggingface': _from_huggingface,
  'dalle': _from_dalle,
  'dino': _from_dino,
  'moco_v3': _from_moco_v3,
}
_NAMES = tuple(dict.fromkeys((*FORMATS, *import_pairs.FORMATS)))
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('format', help=f'one of {", ".join(_NAMES)}')
  parser.add_argument(
    'file',
    help='.safetensors file; for huggingface and open_clip also the folder of '
    'a model, or its id at the hub',
  )
  parser.add_argument(
    '--encoder', required=True, help='the architecture, for example vit_s16'
  )
  parser.add_argument('--workdir', required=True, help='folder to make')
  parser.add_argument(
    '--image_size', type=int, default=224, help='default: 224'
  )
  import_pairs.add_arguments(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `export/` in a new workdir.

  Options of the encoder are given as `--config.encoder.pool=avg`. Images are
  normalised with ImageNet's mean and standard deviation, but for DALL-E's
  encoder, which takes them in [0, 1]; with `--text_encoder`, as `import_pairs`
  says.
  """
  if arguments.format not in _NAMES:
    raise unknown('format', arguments.format, _NAMES)
  if arguments.image_size < 1:
    raise UserError(f'--image_size is {arguments.image_size}; give its pixels')
  workdir = Workdir(arguments.workdir)
  refuse_existing(workdir.path)
  path = model_folder.find(arguments.file, arguments.format)
  _refuse_pickle(path)
  if arguments.text_encoder:
    if arguments.format not in import_pairs.FORMATS:
      raise UserError(f'{arguments.format} has no text towers to import')
    import_pairs.run(arguments, overrides, path)
    _log.info('wrote %s', workdir.path)
    return 0
  if arguments.format not in FORMATS:
    raise UserError(
      f'{arguments.format} is read with both towers: give --text_encoder, for '
      'example clip_512'
    )
  section = _encoder_section(arguments.encoder, overrides)
  encoder = models.make_encoder(**section)
  abstract = abstract_variables(encoder, arguments.image_size)
  tensors = safetensors_file.read(path)
  plain = arguments.format == 'dalle'
  exported = ExportedEncoder(
    section=section,
    variables=FORMATS[arguments.format](tensors, encoder, abstract),
    image_size=arguments.image_size,
    mean=(0.0, 0.0, 0.0) if plain else IMAGENET_MEAN,
    std=(1.0, 1.0, 1.0) if plain else IMAGENET_STD,
    step=0,
    config_hash=config_lib.config_hash({'file': path.name, **section}),
  )
  save_encoder(workdir.export, exported)
  _log.info('wrote %s', workdir.export)
  return 0


def _refuse_pickle(path: pathlib.Path) -> None:
  """PyTorch's own files (a zip of pickles, or a bare one) can hold code."""
  try:
    with path.open('rb') as file:
      start = file.read(9)
  except OSError as error:
    raise UserError(f'cannot read {str(path)!r}: {error.strerror}') from error
  # Safetensors begin with a length of 8 bytes, the first of which can be a
  # pickle's too, and then JSON.
  if start[8:] == b'{':
    return
  if start.startswith((b'PK\x03\x04', b'\x80')):
    raise UserError(
      f'{str(path)!r} is a pickle, which can run code and is not read; save '
      'the weights as .safetensors (safetensors.torch.save_file)'
    )


def _encoder_section(name: str, overrides: Sequence[str]) -> config_lib.Config:
  section = {'name': name, **build.accepted('encoder', name)}
  changes = config_lib.parse_overrides(overrides)
  return config_lib.apply_overrides({'encoder': section}, changes)['encoder']
