"""`jaxssl import`: weights of another library into a workdir."""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import logging
import pathlib

from flax import linen as nn
import numpy as np

from jaxssl import config as config_lib
from jaxssl import models
from jaxssl.arguments import picture_rule
from jaxssl.arguments.targets import refuse_existing
from jaxssl.config import schema
from jaxssl.errors import UserError, unknown
from jaxssl.methods.base import PyTree
from jaxssl.runs import imported_pair
from jaxssl.runs.imported_pair import PublishedPair
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  dalle,
  descriptions,
  huggingface,
  huggingface_convnets,
  huggingface_pairs,
  model_folder,
  picture_choice,
  position_grid,
  recognised,
  releases,
  safetensors_file,
  timm,
)
from jaxssl.weights.descriptions import Description
from jaxssl.weights.exported import (
  ExportedEncoder,
  abstract_variables,
  save_encoder,
)
from jaxssl.weights.input_channels import adapt_encoder
from jaxssl.weights.picture_choice import PictureChoice

_Tensors = Mapping[str, np.ndarray]


def _from_timm(
  tensors: _Tensors, encoder: nn.Module, variables: PyTree
) -> PyTree:
  antialias = getattr(encoder, 'antialias', True)
  return timm.from_timm(tensors, variables, antialias=antialias)


def _from_huggingface(
  tensors: _Tensors, encoder: nn.Module, variables: PyTree
) -> PyTree:
  antialias = getattr(encoder, 'antialias', True)
  if huggingface_pairs.has_image_tower(tensors):
    return huggingface_pairs.image_from_huggingface(
      tensors, variables, antialias=antialias
    )
  if huggingface_convnets.has_convnet(tensors):
    return timm.from_timm(huggingface_convnets.named(tensors), variables)
  # Only vision transformers have positions; others fail by their names.
  position = getattr(encoder, 'position', 'none')
  return huggingface.from_huggingface(
    tensors, variables, position=position, antialias=antialias
  )


def _from_dalle(
  tensors: _Tensors, encoder: nn.Module, variables: PyTree
) -> PyTree:
  del encoder
  return dalle.from_dalle(tensors, variables)


def _from_dino(
  tensors: _Tensors, encoder: nn.Module, variables: PyTree
) -> PyTree:
  del encoder
  return releases.from_dino(tensors, variables)


def _from_moco_v3(
  tensors: _Tensors, encoder: nn.Module, variables: PyTree
) -> PyTree:
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
NAMES = tuple(dict.fromkeys((*FORMATS, *imported_pair.FORMATS)))
# What stands before the options of the encoder.
_SECTION = 'encoder.'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'format',
    nargs='?',
    help=f'one of {", ".join(NAMES)}; default: as the file looks',
  )
  parser.add_argument(
    'file',
    help='.safetensors file; for huggingface, open_clip and timm also the '
    'folder of a model, or its id at the hub',
  )
  parser.add_argument(
    '--encoder',
    help='the architecture, for example vit_s16; default: as the tensors and '
    'the files beside them say',
  )
  parser.add_argument('--workdir', required=True, help='folder to make')
  picture_rule.add(parser)
  parser.add_argument(
    '--text_encoder',
    help='huggingface, open_clip: the text tower, for example clip_512',
  )
  parser.add_argument(
    '--tokenizer', help='the tokenizer of that tower, a file or folder'
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes `export/` in a new workdir.

  Options of the encoder are given as `--config.encoder.pool=avg`; they win over
  the files beside the weights, and those over the defaults. How pictures are
  prepared is chosen in the same order (`PictureChoice.rule`). With
  `--text_encoder`, both towers are imported (`runs.imported_pair`); options of
  the second are given as `--config.text_encoder.depth=4`.
  """
  if arguments.format not in (None, *NAMES):
    raise unknown('format', arguments.format, NAMES)
  if arguments.tokenizer and not arguments.text_encoder:
    raise UserError(
      '--tokenizer is that of a text tower; give --text_encoder too, for '
      'example clip_512'
    )
  if arguments.text_encoder and not arguments.encoder:
    raise UserError(
      'with --text_encoder give --encoder too, for example clip_vit_b32'
    )
  pictures = picture_rule.choice(arguments)
  workdir = Workdir(arguments.workdir)
  refuse_existing(workdir.path)
  path = model_folder.find(arguments.file, arguments.format)
  tensors = _read(path)
  layout = arguments.format or recognised.layout_of(tensors)
  if arguments.text_encoder:
    if layout not in imported_pair.FORMATS:
      raise UserError(f'{layout} has no text towers to import')
    pair = _pair(arguments, layout, overrides, path, pictures)
    imported_pair.write(workdir, pair)
    _log.info('wrote %s', workdir.path)
    return 0
  description, exported = _one_tower(
    path, tensors, layout, arguments.encoder, overrides, pictures
  )
  save_encoder(workdir.export, exported)
  _log.info('encoder: %s, read as %s', exported.section['name'], layout)
  picture_choice.tell(exported.preprocessing, description)
  position_grid.tell(exported.section, description.sides)
  _log.info('wrote %s', workdir.export)
  return 0


def read(given: str) -> ExportedEncoder:
  """Returns the encoder that `jaxssl import GIVEN` would write.

  Args:
    given: a file of weights, the folder of a model, or its id at the hub.

  Raises:
    UserError: if there is none, or something remains open that a flag of
      `jaxssl import` settles.
  """
  path = model_folder.find(given, None)
  tensors = _read(path)
  layout = recognised.layout_of(tensors)
  return _one_tower(path, tensors, layout, None, (), PictureChoice())[1]


def _read(path: pathlib.Path) -> _Tensors:
  model_folder.refuse_pickle(path)
  return safetensors_file.read(path)


def _one_tower(
  path: pathlib.Path,
  tensors: _Tensors,
  layout: str,
  encoder: str | None,
  overrides: Sequence[str],
  pictures: PictureChoice,
) -> tuple[Description, ExportedEncoder]:
  if layout not in FORMATS:
    raise UserError(
      f'{layout} is read with both towers: give --text_encoder, for '
      'example clip_512'
    )
  description = descriptions.describe(
    path, layout, image_size=pictures.image_size
  )
  section = _encoder_section(encoder, overrides, description, tensors, layout)
  exported = _exported(section, layout, tensors, path, description, pictures)
  return description, exported


def _pair(
  arguments: argparse.Namespace,
  layout: str,
  overrides: Sequence[str],
  path: pathlib.Path,
  pictures: PictureChoice,
) -> PublishedPair:
  return PublishedPair(
    format=layout,
    file=arguments.file,
    path=path,
    encoder=arguments.encoder,
    text_encoder=arguments.text_encoder,
    tokenizer=arguments.tokenizer,
    pictures=pictures,
    changes=config_lib.parse_overrides(overrides),
  )


def _exported(
  section: config_lib.Config,
  layout: str,
  tensors: _Tensors,
  path: pathlib.Path,
  description: Description,
  pictures: PictureChoice,
) -> ExportedEncoder:
  encoder = models.make_encoder(**section)
  release = picture_choice.release_of(layout, tensors, encoder)
  side = position_grid.image_side(
    recognised.in_timm_names(tensors, layout), section
  )
  rule = pictures.rule(description, release, side)
  stored = pictures.stored_rule(rule, description)
  abstract = abstract_variables(encoder, rule.image_size, stored.num_channels)
  identity = {'preprocessing': dataclasses.asdict(rule), **section}
  exported = ExportedEncoder(
    section=section,
    variables=FORMATS[layout](tensors, encoder, abstract),
    preprocessing=stored,
    step=0,
    config_hash=config_lib.config_hash({'file': path.name, **identity}),
  )
  return adapt_encoder(exported, rule)


def _encoder_section(
  name: str | None,
  overrides: Sequence[str],
  description: Description,
  tensors: _Tensors,
  layout: str,
) -> config_lib.Config:
  changes = config_lib.parse_overrides(overrides)
  told = description.options.get('encoder', {})
  if name is None:
    own = {
      key.removeprefix(_SECTION): value
      for key, value in changes.items()
      if key.startswith(_SECTION)
    }
    told = recognised.section_of(
      tensors, layout, {**told, **own}, description.sides
    )
    name = told['name']
  section = {'name': name, **schema.defaults('encoder', name)}
  # A ResNet has neither heads nor an activation.
  section |= {key: told[key] for key in told.keys() & section.keys()}
  config = schema.apply_overrides({'encoder': section}, changes)
  return position_grid.with_grid(config['encoder'], description.sides)
