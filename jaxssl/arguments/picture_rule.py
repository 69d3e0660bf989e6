"""Arguments of `jaxssl import` about the pictures its weights were made for."""

import argparse
from typing import get_args

from jaxssl.augment.preprocessing import Interpolation, Resize
from jaxssl.errors import UserError
from jaxssl.weights.picture_choice import PictureChoice


def add(parser: argparse.ArgumentParser) -> None:
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
    metavar='FILTER',
    help=f'filter that resizes: {", ".join(get_args(Interpolation))}; default: '
    'as the files say',
  )
  for name in ('mean', 'std'):
    parser.add_argument(
      f'--{name}',
      type=float,
      nargs='+',
      metavar='X',
      help='of pixels in [0, 1], a number per channel: red, green and blue, or '
      'other channels as stored, to which first layers of RGB are adapted; '
      'default: as the files say',
    )
  parser.add_argument(
    '--value_range',
    type=float,
    nargs=2,
    metavar=('LOW', 'HIGH'),
    help='with other channels than RGB: stored values that become 0 and 1; '
    'default: 0 and the largest of 8 or 16 bits',
  )


def choice(arguments: argparse.Namespace) -> PictureChoice:
  """Returns what the arguments say of the pictures.

  Raises:
    UserError: for an image size that is not positive.
  """
  if arguments.image_size is not None and arguments.image_size < 1:
    raise UserError(f'--image_size is {arguments.image_size}; give its pixels')
  return PictureChoice(
    image_size=arguments.image_size,
    crop_fraction=arguments.crop_fraction,
    resize=arguments.resize,
    interpolation=arguments.interpolation,
    mean=arguments.mean and tuple(arguments.mean),
    std=arguments.std and tuple(arguments.std),
    value_range=arguments.value_range and tuple(arguments.value_range),
  )
