"""The pictures of a run: which images are drawn, and what of them."""

from collections.abc import Iterator
import dataclasses
from typing import Any

import jax
import numpy as np

from jaxssl import data
from jaxssl.augment.bands import fields_of
from jaxssl.augment.preprocessing import usual
from jaxssl.build import Run
from jaxssl.data import targets
from jaxssl.data.dense import Pictures
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals.features import Features, encode_fn
from jaxssl.models.vit import ViT
from jaxssl.pictures import neighbours, patch_neighbours
from jaxssl.pictures.attention import attention_panel
from jaxssl.pictures.method_panels import method_panel
from jaxssl.pictures.panel import Panel
from jaxssl.pictures.patch_colors import patch_colors_panel
from jaxssl.pictures.segmentation import segmentation_panel
from jaxssl.runs import baselines, encoders, sources
from jaxssl.train.state import TrainState
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_NEIGHBOURS = 7
_PATCHES = 5
# Training pictures whose patches are searched, and patches in a row from which
# on there is something to see.
_PATCH_BANK, _LEAST_SIDE = 256, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
  """What a workdir holds; a run and its state only where it has trained one."""

  encoder: ExportedEncoder
  run: Run | None = None
  state: TrainState | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookedAt:
  """Which pictures are drawn.

  Attributes:
    section: the section `data`.
    split: split that they come from.
    num_images: how many.
    limit: most pictures that are searched for neighbours.
    is_other: whether they were chosen, and are not those of the run.
  """

  section: dict[str, Any]
  split: str
  num_images: int
  limit: int
  is_other: bool


def open_trained(workdir: Workdir, step: int | None) -> Trained:
  """Reads a checkpoint, or the exported encoder where there is none."""
  if not (workdir.config_path.exists() and workdir.checkpoints.exists()):
    return Trained(encoder=encoders.load(workdir, step=step))
  run_, restored = encoders.restore(workdir, step=step)
  encoder = encoders.of_checkpoint(run_, restored)
  return Trained(encoder=encoder, run=run_, state=restored.state)


def method_panels(looked_at: LookedAt, trained: Trained) -> Iterator[Panel]:
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
      preprocessing=usual(
        run_.augment.crops[0].size, **fields_of(run_.augment.bands)
      ),
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


def encoder_panels(
  looked_at: LookedAt, exported: ExportedEncoder
) -> Iterator[Panel]:
  """Yields what can be drawn of any encoder."""
  section = looked_at.section
  source = open_source(looked_at)
  bank = data.make_source(**section)
  images, labels, index = _images(
    sources.batches(source, exported, limit=looked_at.num_images)
  )
  encoder = exported.encoder
  if isinstance(encoder, ViT) and encoder.class_token:
    yield attention_panel(
      encoder, exported.variables, exported.normalize, images
    )
  yield from _patch_panels(looked_at, exported, images, index)
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
  yield neighbours.neighbours_panel(
    images,
    queries,
    found,
    found_classes=tuple(bank.class_names or ()),
    names=[_short_name(source, i) for i in index.tolist()],
    found_names=[
      [_short_name(bank, i) for i in row] for row in found.index.tolist()
    ],
  )


def _patch_panels(
  looked_at: LookedAt,
  exported: ExportedEncoder,
  images: np.ndarray,
  index: np.ndarray,
) -> Iterator[Panel]:
  """Yields what can be drawn of the patches; of too few patches nothing."""
  try:
    ((_, patches),) = baselines.patch_encoders(
      exported, layer=None, size=None, baselines=False
    )
  except UserError:
    return  # an encoder without a map
  encode = encode_fn(
    exported.encoder, exported.variables, exported.normalize, spatial=True
  )
  features = np.asarray(encode(images))
  if min(features.shape[1:3]) < _LEAST_SIDE:
    return
  yield patch_colors_panel(images, features)
  source, bank = open_source(looked_at), data.make_source(**looked_at.section)
  yield patch_neighbours.patch_neighbours_panel(
    images,
    features,
    index
    if bank.fingerprint == source.fingerprint
    else np.full_like(index, -1),
    patch_neighbours.read_bank(
      encode, sources.batches(bank, exported, limit=_PATCH_BANK)
    ),
    k=_PATCHES,
  )
  if 'mask' in targets.of(source) and 'mask' in targets.of(bank):
    train, shown = (
      Pictures(
        source=each,
        kind='mask',
        limit=limit,
        bands=exported.preprocessing.bands,
      )
      for each, limit in ((bank, _PATCH_BANK), (source, looked_at.num_images))
    )
    yield segmentation_panel(patches, train, shown)


def _short_name(source: Source, index: int) -> str:
  """Returns the name of a record without that of its folder or file."""
  name = source.describe(index)
  for mark in '/:':  # of a folder, of a file with several pictures
    name = name.removeprefix(f'{source.name}{mark}')
  return name


def open_source(looked_at: LookedAt) -> Source:
  """Opens the pictures that are drawn."""
  return data.make_source(**{**looked_at.section, 'split': looked_at.split})


def _images(
  batches: Iterator[dict[str, Any]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns images, labels and record numbers of the first batch."""
  batch = next(iter(batches))
  mask = batch['mask']
  if not mask.any():
    raise UserError('none of the images to draw can be read; give other --data')
  return batch['image'][mask], batch['label'][mask], batch['index'][mask]
