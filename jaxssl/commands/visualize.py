"""`jaxssl visualize`: what a run has learned, in pictures on one page."""

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
import logging
import pathlib
from typing import Any

import jax
import numpy as np

from jaxssl import atomic_file, data
from jaxssl import config as config_lib
from jaxssl.arguments import data_choice, targets
from jaxssl.augment.preprocessing import usual
from jaxssl.build import Run
from jaxssl.errors import UserError
from jaxssl.evals.features import Features, encode_fn
from jaxssl.models.vit import ViT
from jaxssl.paths import is_remote
from jaxssl.pictures import neighbours, page, panel
from jaxssl.pictures.attention import attention_panel
from jaxssl.pictures.curve import training_curve
from jaxssl.pictures.method_panels import method_panel
from jaxssl.pictures.panel import Panel
from jaxssl.runs import encoders, sources
from jaxssl.train.state import TrainState
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_MOST_IMAGES = 64
_NEIGHBOURS = 7
_BANK = 10_000
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trained:
  """What a workdir holds; a run and its state only where it has trained one."""

  encoder: ExportedEncoder
  run: Run | None = None
  state: TrainState | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _LookedAt:
  """Which pictures are drawn.

  Attributes:
    section: the section `data`.
    split: of them.
    num_images: how many.
    limit: most pictures that are searched for neighbours.
    is_other: whether they were chosen, and are not those of the run.
  """

  section: dict[str, Any]
  split: str
  num_images: int
  limit: int
  is_other: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('--workdir', required=True, help='folder of the run')
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
  if is_remote(arguments.workdir) and not arguments.out:
    raise UserError(
      'visualize draws into a folder of this machine; give --out DIR'
    )
  workdir = Workdir(arguments.workdir)
  out = pathlib.Path(workdir.path) / 'pictures'
  if arguments.out:
    out = pathlib.Path(arguments.out)
    targets.refuse_existing(out)
  choice = data_choice.choice(arguments, overrides)
  trained = _open(workdir, arguments.step)
  _, split = choice.open(workdir, arguments.split)
  looked_at = _LookedAt(
    section=choice.section(workdir),
    split=split,
    num_images=arguments.num_images,
    limit=arguments.limit or _BANK,
    is_other=bool(arguments.data or arguments.data_dir or choice.changes),
  )
  panels = [
    *_method_panel(looked_at, trained),
    *_encoder_panels(looked_at, trained.encoder),
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


def _open(workdir: Workdir, step: int | None) -> _Trained:
  """Reads a checkpoint, or the exported encoder where there is none."""
  if not (workdir.config_path.exists() and workdir.checkpoints.exists()):
    return _Trained(encoder=encoders.load(workdir, step=step))
  run_, restored = encoders.restore(workdir, step=step)
  encoder = encoders.of_checkpoint(run_, restored)
  return _Trained(encoder=encoder, run=run_, state=restored.state)


def _method_panel(looked_at: _LookedAt, trained: _Trained) -> Iterator[Panel]:
  """Yields the picture of the method, if it has one."""
  run_ = trained.run
  draw = run_ and method_panel(run_.config['method']['name'])
  if not (run_ and draw):
    return
  # Not the evaluation's images, which may be smaller than the views.
  section = looked_at.section if looked_at.is_other else run_.config['data']
  source = data.make_source(**{**section, 'split': looked_at.split})
  images, _, _ = _images(
    data.eval_batches(
      source,
      batch_size=looked_at.num_images,
      preprocessing=usual(run_.augment.crops[0].size),
      limit=looked_at.num_images,
    )
  )
  state = jax.device_get(trained.state)
  yield draw(
    run_.learner.method,
    state.params,
    state.method_state,
    images,
    run_.augment,
  )


def _encoder_panels(
  looked_at: _LookedAt, exported: ExportedEncoder
) -> Iterator[Panel]:
  """Yields what can be drawn of any encoder."""
  section = looked_at.section
  source = data.make_source(**{**section, 'split': looked_at.split})
  bank = data.make_source(**section)
  images, labels, index = _images(
    sources.batches(source, exported, limit=looked_at.num_images)
  )
  encoder = exported.encoder
  if isinstance(encoder, ViT) and encoder.class_token:
    yield attention_panel(
      encoder, exported.variables, exported.normalize, images
    )
  encode = encode_fn(encoder, exported.variables, exported.normalize)
  queries = Features(
    np.asarray(encode(images)), labels, tuple(source.class_names or ())
  )
  found = neighbours.find(
    queries.features,
    encode,
    sources.batches(bank, exported, limit=looked_at.limit),
    k=_NEIGHBOURS,
    skip=index if bank.fingerprint == source.fingerprint else None,
  )
  yield neighbours.neighbours_panel(images, queries, found)


def _images(
  batches: Iterator[dict[str, Any]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns images, labels and record numbers of the first batch."""
  batch = next(iter(batches))
  mask = batch['mask']
  if not mask.any():
    raise UserError('none of the images to draw can be read; give other --data')
  return batch['image'][mask], batch['label'][mask], batch['index'][mask]


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


def _title(trained: _Trained) -> str:
  name = trained.encoder.section['name']
  if trained.run is not None:
    name = f'{trained.run.config["method"]["name"]} with {name}'
  return f'{name}: what it has learned'


def _facts(looked_at: _LookedAt, trained: _Trained) -> dict[str, str]:
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
