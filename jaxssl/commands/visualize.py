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
from jaxssl.augment.preprocessing import usual
from jaxssl.build import Run
from jaxssl.commands import data_arguments, targets
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument(
    '--out', help='folder to make; default: pictures/ in the workdir'
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument(
    '--split', help='images to draw; default: that of the run, or test'
  )
  parser.add_argument(
    '--num_images', type=int, default=8, help='rows of a picture; default: 8'
  )
  data_arguments.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes a PNG for each picture, and `index.html` with all of them."""
  if overrides:
    raise UserError('visualize takes no --config.* arguments')
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
  out = workdir.path / 'pictures'
  if arguments.out:
    out = pathlib.Path(arguments.out)
    targets.refuse_existing(out)
  trained = _open(workdir, arguments.step)
  panels = [
    *_method_panel(arguments, workdir, trained),
    *_encoder_panels(arguments, workdir, trained.encoder),
  ]
  with atomic_file.folder(out) as partial:
    sections = [_save(p, partial) for p in panels]
    sections += _curve(workdir, partial)
    page.write_page(
      partial / 'index.html',
      title=_title(trained),
      facts=_facts(arguments, workdir, trained),
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


def _method_panel(
  arguments: argparse.Namespace, workdir: Workdir, trained: _Trained
) -> Iterator[Panel]:
  """Yields the picture of the method, if it has one."""
  run_ = trained.run
  draw = run_ and method_panel(run_.config['method']['name'])
  if not (run_ and draw):
    return
  section = run_.config['data']
  if arguments.data or arguments.data_dir:
    section = data_arguments.choice(arguments).section(workdir)
  # Not the evaluation's images, which may be smaller than the views.
  source = data.make_source(**{**section, 'split': _split(arguments, workdir)})
  images, _, _ = _images(
    data.eval_batches(
      source,
      batch_size=arguments.num_images,
      preprocessing=usual(run_.learner.augment.crops[0].size),
      limit=arguments.num_images,
    )
  )
  state = jax.device_get(trained.state)
  yield draw(
    run_.learner.method,
    state.params,
    state.method_state,
    images,
    run_.learner.augment,
  )


def _encoder_panels(
  arguments: argparse.Namespace, workdir: Workdir, exported: ExportedEncoder
) -> Iterator[Panel]:
  """Yields what can be drawn of any encoder."""
  section = data_arguments.choice(arguments).section(workdir)
  split = _split(arguments, workdir)
  source = data.make_source(**{**section, 'split': split})
  bank = data.make_source(**section)
  images, labels, index = _images(
    sources.batches(source, exported, limit=arguments.num_images)
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
    sources.batches(bank, exported, limit=arguments.limit or _BANK),
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


def _split(arguments: argparse.Namespace, workdir: Workdir) -> str:
  choice = data_arguments.choice(arguments)
  return arguments.split or choice.test_split(workdir)


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


def _facts(
  arguments: argparse.Namespace, workdir: Workdir, trained: _Trained
) -> dict[str, str]:
  """Returns what stands at the top of the page."""
  chosen = sources.data_name(data_arguments.choice(arguments).section(workdir))
  facts = {
    'encoder': str(trained.encoder.section['name']),
    'images': f'{chosen}, split {_split(arguments, workdir)!r}',
    'image size': f'{trained.encoder.image_size} pixels',
  }
  if trained.run is None:
    return facts
  steps = f'{trained.encoder.step:,} of {trained.run.num_steps:,}'
  method = trained.run.config['method']['name']
  return {'method': method, 'optimizer steps': steps, **facts}
