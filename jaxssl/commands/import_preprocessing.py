"""How `jaxssl import` finds out what pictures its weights were made for."""

import argparse
from collections.abc import Mapping
import dataclasses
import logging
from typing import Any, get_args

from jaxssl.augment.preprocessing import Interpolation, Preprocessing, Resize
from jaxssl.config import Config
from jaxssl.errors import UserError
from jaxssl.weights import huggingface_pairs
from jaxssl.weights.descriptions import Description
from jaxssl.weights.preprocessors import RELEASED

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that change what the files say."""
  parser.add_argument(
    '--image_size',
    type=int,
    help='side of the images in pixels; default: as the files beside the '
    'weights say, else as the authors have it (224 for most)',
  )
  parser.add_argument(
    '--resize',
    choices=get_args(Resize),
    help='the shorter side keeps the shape of a picture, squash does not; '
    'default: as the files say',
  )
  parser.add_argument(
    '--crop_fraction',
    type=float,
    metavar='F',
    help='the picture is resized to image_size / F; default: as the files say',
  )
  parser.add_argument(
    '--interpolation',
    choices=get_args(Interpolation),
    help='filter that resizes; default: as the files say',
  )
  for name in ('mean', 'std'):
    parser.add_argument(
      f'--{name}',
      type=float,
      nargs=3,
      metavar=('R', 'G', 'B'),
      help='of pixels in [0, 1]; default: as the files say',
    )


def check(arguments: argparse.Namespace) -> None:
  """Raises `UserError` for an image size that is not positive."""
  if arguments.image_size is not None and arguments.image_size < 1:
    raise UserError(f'--image_size is {arguments.image_size}; give its pixels')


def choose(
  arguments: argparse.Namespace, description: Description, release: str
) -> Preprocessing:
  """Returns the rule of the arguments, else of the files, else of the release.

  Args:
    arguments: of the command.
    description: of the files beside the weights, read with
      `arguments.image_size`.
    release: key of `RELEASED`.

  Raises:
    UserError: if a value is out of its range.
  """
  rule = description.preprocessing
  if rule is None:
    rule = RELEASED[release]
    rule = rule.of_size(arguments.image_size or rule.image_size)
  if arguments.crop_fraction is not None:
    rule = rule.cut_to(arguments.crop_fraction)
  given = {
    name: tuple(value) if isinstance(value, list) else value
    for name in ('resize', 'interpolation', 'mean', 'std')
    if (value := getattr(arguments, name)) is not None
  }
  return dataclasses.replace(rule, **given)


def release_of(library: str, tensors: Mapping[str, Any], encoder: Any) -> str:
  """Returns which authors' rule holds where no file says one.

  Args:
    library: format of the weights.
    tensors: by the names of the format.
    encoder: module that they are for.
  """
  if library != 'huggingface':
    return library
  if huggingface_pairs.has_image_tower(tensors):
    is_siglip = huggingface_pairs.is_siglip_tower(tensors)
    return 'siglip' if is_siglip else 'clip'
  position = getattr(encoder, 'position', 'none')
  return {'relative': 'beit', 'sincos_mae': 'vit_mae'}.get(position, 'vit')


def with_grid(section: Config, sides: tuple[int, int] | None) -> Config:
  """Puts the grid of the positions into the section `encoder`.

  Tables of a 4 x 16 and an 8 x 8 grid have one shape, so the sides of the
  images tell which it is; and whether pixels are left over.

  Args:
    section: complete; its own `grid` wins.
    sides: height and width of the images that positions are stored for. None
      where the files do not say it: a square grid, which all releases have.
  """
  if section.get('grid') is not None or not section.get('patch_size'):
    return section
  if sides is None:
    return section
  patch = section['patch_size']
  rows, columns = (side // patch for side in sides)
  is_usual = rows == columns and not any(side % patch for side in sides)
  return section if is_usual else {**section, 'grid': (rows, columns)}


def tell(
  rule: Preprocessing,
  section: Mapping[str, Any],
  sides: tuple[int, int] | None,
) -> None:
  """Logs how pictures will be prepared, and what was assumed of positions.

  Args:
    rule: of the imported encoder.
    section: its section `encoder`.
    sides: see `with_grid`.
  """
  resized = 'both sides' if rule.resize == 'squash' else 'the shorter side'
  _log.info(
    'pictures: %s to %d pixels (%s), of which the middle %d are seen; '
    'mean %s, std %s',
    resized,
    rule.resize_size,
    rule.interpolation,
    rule.image_size,
    *(', '.join(f'{x:.4g}' for x in v) for v in (rule.mean, rule.std)),
  )
  has_table = section.get('position') in ('learned', 'relative')
  if has_table and sides is None and section.get('grid') is None:
    _log.info(
      'positions are taken to be of a square grid of patches; if they are of '
      'another, give --config.encoder.grid=ROWS,COLUMNS'
    )
