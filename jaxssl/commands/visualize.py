"""`jaxssl visualize`: what a run has learned, in pictures on one page."""

import argparse
from collections.abc import Iterator, Sequence
import logging
import pathlib

from jaxssl import atomic_file
from jaxssl import config as config_lib
from jaxssl.arguments import data_choice, place, targets
from jaxssl.errors import UserError
from jaxssl.paths import is_remote
from jaxssl.pictures import page, panel
from jaxssl.pictures.curve import training_curve
from jaxssl.pictures.of_run import (
  LookedAt,
  Trained,
  encoder_panels,
  method_panels,
  open_trained,
)
from jaxssl.pictures.panel import Panel
from jaxssl.runs import sources
from jaxssl.train.workdir import Workdir

_MOST_IMAGES = 64
_BANK = 10_000
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument(
    '--out', help='folder to make; default: pictures/ in the workdir'
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument(
    '--split',
    help='images to draw; default: that of the run, or test, or train '
    'without it',
  )
  parser.add_argument(
    '--num_images', type=int, default=8, help='rows of a picture; default: 8'
  )
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes a PNG for each picture, and `index.html` with all of them."""
  if not 1 <= arguments.num_images <= _MOST_IMAGES:
    raise UserError(
      f'--num_images is {arguments.num_images}; it must be from 1 to '
      f'{_MOST_IMAGES}'
    )
  if is_remote(place.of(arguments)) and not arguments.out:
    raise UserError(
      'visualize draws into a folder of this machine; give --out DIR'
    )
  workdir = Workdir(place.of(arguments))
  out = pathlib.Path(workdir.path) / 'pictures'
  if arguments.out:
    out = pathlib.Path(arguments.out)
    targets.refuse_existing(out)
  choice = data_choice.choice(arguments, overrides)
  trained = open_trained(workdir, arguments.step)
  _, split = choice.open(workdir, arguments.split)
  looked_at = LookedAt(
    section=choice.section(workdir),
    split=split,
    num_images=arguments.num_images,
    limit=arguments.limit or _BANK,
    is_other=bool(arguments.data or arguments.data_dir or choice.changes),
  )
  panels = [
    *method_panels(looked_at, trained),
    *encoder_panels(looked_at, trained.encoder),
  ]
  with atomic_file.folder(out) as partial:
    sections = [_save(p, partial) for p in panels]
    sections += _curve(workdir, partial)
    page.write_page(
      partial / 'index.html',
      title=_title(trained),
      facts=_facts(looked_at, trained),
      sections=sections,
      config=trained.run and config_lib.to_json(trained.run.config),
    )
  for name in (*(section.picture.name for section in sections), 'index.html'):
    _log.info('wrote %s', out / name)
  return 0


def _save(picture: Panel, out: pathlib.Path) -> page.Section:
  path = out / f'{picture.name}.png'
  panel.save(picture, path)
  return page.Section(
    title=picture.title, text=picture.text, alt=picture.alt, picture=path
  )


def _curve(workdir: Workdir, out: pathlib.Path) -> Iterator[page.Section]:
  if not workdir.metrics_path.exists():
    return
  path = out / 'curve.png'
  training_curve(workdir.metrics_path, path)
  text = (
    'The loss over the optimizer steps, and the accuracy of a kNN classifier '
    'on the frozen features where it was measured during training.'
  )
  yield page.Section(
    title='Training',
    text=text,
    alt=f'Line plot. {text}',
    picture=path,
  )


def _title(trained: Trained) -> str:
  name = trained.encoder.section['name']
  if trained.run is not None:
    name = f'{trained.run.config["method"]["name"]} with {name}'
  return f'{name}: what it has learned'


def _facts(looked_at: LookedAt, trained: Trained) -> dict[str, str]:
  """Returns what stands at the top of the page."""
  chosen = sources.data_name(looked_at.section)
  facts = {
    'encoder': str(trained.encoder.section['name']),
    'images': f'{chosen}, split {looked_at.split!r}',
    'image size': f'{trained.encoder.image_size} pixels',
  }
  if trained.run is None:
    return facts
  steps = f'{trained.encoder.step:,} of {trained.run.num_steps:,}'
  method = trained.run.config['method']['name']
  return {'method': method, 'optimizer steps': steps, **facts}
