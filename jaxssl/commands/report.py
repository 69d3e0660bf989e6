"""`jaxssl report`: what a run is and has learned, on one page."""

import argparse
from collections.abc import Sequence
import logging
import pathlib

from jaxssl import atomic_file
from jaxssl.arguments import data_choice, place
from jaxssl.errors import UserError
from jaxssl.paths import is_remote
from jaxssl.pictures import report
from jaxssl.pictures.of_run import LookedAt
from jaxssl.runs.sources import DataChoice
from jaxssl.train.workdir import Workdir

NAME = 'report.html'
_BANK = 1_000
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument(
    '--out', help=f'file to write; default: {NAME} in the workdir'
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  add_pictures(parser)


def add_pictures(parser: argparse.ArgumentParser) -> None:
  """Adds what chooses the pictures."""
  parser.add_argument(
    '--split', help='pictures to draw; default: that of the run, or test'
  )
  parser.add_argument(
    '--num_images', type=int, default=6, help='rows of a picture; default: 6'
  )
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes the page."""
  workdir = here(place.of(arguments))
  choice = data_choice.choice(arguments, overrides)
  found = None
  if has_weights(workdir):
    found = report.learned(
      workdir, looked_at(arguments, choice, workdir), step=arguments.step
    )
  out = pathlib.Path(arguments.out or workdir.path / NAME)
  atomic_file.write_text(out, report.write(workdir, found))
  _log.info('wrote %s', out)
  return 0


def here(path: str) -> Workdir:
  """Returns a workdir of this machine that holds something.

  Raises:
    UserError: if it does not.
  """
  if is_remote(path):
    raise UserError(f'{path!r} is not of this machine; copy it here')
  workdir = Workdir(path)
  if not (workdir.config_path.exists() or workdir.export.exists()):
    raise UserError(
      f'{path!r} holds no run; give the workdir of `jaxssl train`'
    )
  return workdir


def has_weights(workdir: Workdir) -> bool:
  """Whether there is an encoder to look at."""
  return bool(newest(workdir)) or (workdir.export / 'encoder.json').exists()


def newest(workdir: Workdir) -> int:
  """Returns the step of the newest checkpoint, 0 if there is none."""
  if not workdir.checkpoints.is_dir():
    return 0
  names = (path.name for path in workdir.checkpoints.iterdir())
  return max((int(name) for name in names if name.isdigit()), default=0)


def looked_at(
  arguments: argparse.Namespace, choice: DataChoice, workdir: Workdir
) -> LookedAt:
  """Returns the pictures that are drawn.

  Args:
    arguments: arguments of the command.
    choice: the data that they name.
    workdir: workdir of the run.

  Raises:
    UserError: if there are none.
  """
  if not 1 <= arguments.num_images <= 64:
    raise UserError(
      f'--num_images is {arguments.num_images}; it must be from 1 to 64'
    )
  _, split = choice.open(workdir, arguments.split)
  return LookedAt(
    section=choice.section(workdir),
    split=split,
    num_images=arguments.num_images,
    limit=arguments.limit or _BANK,
    is_other=bool(arguments.data or arguments.data_dir or choice.changes),
  )
