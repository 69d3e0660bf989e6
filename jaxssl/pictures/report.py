"""The report of a run: what it is, where it stands, and what it has learned."""

from collections.abc import Mapping, Sequence
import dataclasses
import datetime
from typing import Any

from etils import epath
import jax
import numpy as np

from jaxssl import config as config_lib
from jaxssl.data.copies import Copies
from jaxssl.data.shown import show_like
from jaxssl.data.source import Source
from jaxssl.evals import collapse
from jaxssl.evals.features import encode_fn
from jaxssl.methods import METHODS
from jaxssl.pictures import captions, mosaic, page, verdict
from jaxssl.pictures import report_blocks as blocks
from jaxssl.pictures.curve import Point, read_points, series
from jaxssl.pictures.feature_map import pca
from jaxssl.pictures.neighbours import unit
from jaxssl.pictures.of_run import (
  LookedAt,
  Trained,
  encoder_panels,
  method_panels,
  open_source,
  open_trained,
)
from jaxssl.pictures.svg_curve import curve
from jaxssl.printable import printable
from jaxssl.runs import results, sources
from jaxssl.train.progress import duration
from jaxssl.train.workdir import Workdir

Points = list[Point]
_THUMBNAIL = 48
_ON_MAP = 256
_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learned:
  """What was found with one checkpoint; the slow part of a report.

  Attributes:
    step: step of the checkpoint.
    num_steps: number of steps of the whole run; None for weights without a run.
    guessing: loss of an answer that does not look at the picture.
    most_frequent: share of the largest class among the pictures looked at.
    warning: a sign of collapse.
    facts: more about what was trained.
    parts: HTML.
  """

  step: int
  num_steps: int | None = None
  guessing: float | None = None
  most_frequent: float | None = None
  warning: str | None = None
  facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
  parts: Sequence[str] = ()


def learned(
  workdir: Workdir, looked_at: LookedAt, *, step: int | None = None
) -> Learned:
  """Looks at the newest checkpoint of a workdir, or at one of them.

  Args:
    workdir: workdir of the run.
    looked_at: which pictures are drawn; those of training are searched.
    step: step of the checkpoint.

  Raises:
    jaxssl.errors.UserError: if there are no weights, or no pictures.
  """
  trained = open_trained(workdir, step)
  source = open_source(looked_at)
  images, features, labels, index = _rows(trained, source)
  advice = collapse.advice(features) if trained.encoder.step else None
  parts = [
    *_copies(images, index, source),
    *_map(images, features),
    *map(blocks.panel, method_panels(looked_at, trained)),
    *map(blocks.panel, encoder_panels(looked_at, trained.encoder)),
    *captions.captions(workdir, source, looked_at, step),
  ]
  known = labels[labels >= 0]
  return Learned(
    step=trained.encoder.step,
    num_steps=trained.run and trained.run.num_steps,
    guessing=_guessing(trained),
    most_frequent=(
      float(np.bincount(known).max() / len(known)) if len(known) else None
    ),
    warning=advice,
    facts=_more_facts(trained, looked_at),
    parts=parts,
  )


def write(
  workdir: Workdir, found: Learned | None, *, seconds: int | None = None
) -> str:
  """Returns the page, with what is known of the run now.

  Args:
    workdir: workdir of the run.
    found: what `learned` returned; None: no checkpoint yet.
    seconds: load the page again after so many; None: never.
  """
  config = workdir.read_config() if workdir.config_path.exists() else {}
  points = _points(workdir)
  title = _title(workdir, config)
  parts = [
    f'<h1>{page.text(title)}</h1>',
    *_standing(points, found),
    page.table(_facts(workdir, config, points, found)),
    blocks.heading('Has it learned?'),
    *_verdict(points, found),
    *_curves(points, found),
    *_results(workdir),
    *(found.parts if found else ()),
  ]
  if config:
    parts.append(
      '<details><summary>Config</summary>\n'
      f'<pre>{page.text(config_lib.to_json(config))}</pre></details>'
    )
  return page.document(title, parts, style=blocks.STYLE, seconds=seconds)


def _points(workdir: Workdir) -> Points:
  if not workdir.metrics_path.exists():
    return []
  return read_points(workdir.metrics_path)


def _title(workdir: Workdir, config: Mapping[str, Any]) -> str:
  method = config.get('method', {}).get('name')
  encoder = config.get('encoder', {}).get('name', 'encoder')
  what = f'{method} with {encoder}' if method else str(encoder)
  return f'{workdir.path.name}: {what}'


def _standing(points: Points, found: Learned | None) -> list[str]:
  """Returns how far the run is."""
  if not points:
    return ['<p class="lead">No step has been logged.</p>']
  step = int(points[-1]['step'])
  if not (found and found.num_steps):
    return [f'<p class="lead">Step {step:,}.</p>']
  total, left = found.num_steps, series(points, 'seconds_left')[1]
  words = f'Step {step:,} of {total:,}'
  if step >= total:
    words += ', finished'
  elif left:
    words += f', about {duration(left[-1])} left while it runs'
  return [
    f'<p class="lead">{page.text(words)}.</p>'
    f'<progress max="{total}" value="{min(step, total)}">{page.text(words)}'
    '</progress>'
  ]


def _facts(
  workdir: Workdir,
  config: Mapping[str, Any],
  points: Points,
  found: Learned | None,
) -> dict[str, str]:
  facts = {}
  if config.get('train'):
    facts['data'] = sources.data_name(config['data'])
  facts |= found.facts if found else {}
  if line := _said_of_copies(workdir):
    facts['copies'] = printable(line)
  if config.get('train'):
    facts['batch'] = f'{config["train"]["batch_size"]} pictures'
    facts['begun'] = _time(workdir.config_path)
  worked, speed = (
    series(points, name)[1] for name in ('seconds', 'images_per_second')
  )
  if worked:
    facts['trained for'] = f'{duration(worked[-1])}, without breaks'
  if speed:
    facts['speed'] = f'{speed[-1]:,.1f} pictures per second'
  if workdir.metrics_path.exists():
    facts['last line'] = _time(workdir.metrics_path)
  return facts


def _said_of_copies(workdir: Workdir) -> str:
  """Returns what the results say of pictures that are there twice."""
  kept = (
    result.get('records', {}).get('copies')
    for result in results.read_results(workdir.path).values()
  )
  lines = (str(Copies(**each)) for each in kept if each)
  return next(filter(None, lines), '')


def _time(file: epath.PathLike) -> str:
  # That of a bucket has no `st_mtime`.
  seconds = epath.Path(file).stat().mtime
  time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
  return f'{time:%Y-%m-%d %H:%M:%S} UTC'


def _more_facts(trained: Trained, looked_at: LookedAt) -> dict[str, str]:
  facts = {}
  if trained.run:
    seen = trained.encoder.step * trained.run.train.batch_size
    count = trained.run.source.num_examples
    facts['training pictures'] = (
      f'{count:,}, seen {seen / count:.1f} times each'
    )
  count = sum(x.size for x in jax.tree.leaves(trained.encoder.variables))
  return facts | {
    'pictures below': (
      f'{sources.data_name(looked_at.section)}, split {looked_at.split!r}, '
      f'{trained.encoder.image_size} pixels, step {trained.encoder.step:,}'
    ),
    'encoder': f'{count / 1e6:.2f} M parameters',
  }


def _guessing(trained: Trained) -> float | None:
  run = trained.run
  # Of several captions each is an answer: the numbers are those of one.
  if run is None or run.input.captions > 1:
    return None
  row = METHODS[run.config['method']['name']]
  return row.guessing(run.learner.method, run.train.batch_size)


def _verdict(points: Points, found: Learned | None) -> list[str]:
  """Returns boxes of what speaks against it, and what for it."""
  against, for_it = verdict.verdict(
    points,
    guessing=found and found.guessing,
    most_frequent=found and found.most_frequent,
    warning=found and found.warning,
  )
  if found and found.warning is None and found.step:
    for_it.append('No sign of collapse.')
  if not against and not for_it:
    for_it = ['Nothing has been measured yet.']
  return [
    *([blocks.box(against, bad=True)] if against else []),
    *([blocks.box(for_it)] if for_it else []),
  ]


def _curves(points: Points, found: Learned | None) -> list[str]:
  drawn = []
  loss = series(points, 'loss')
  if loss[0]:
    guess = found and found.guessing
    levels = {} if guess is None else {'guessing': guess}
    drawn.append(curve('training loss', loss, levels))
  steps, knn = series(points, 'knn/top1')
  if steps:
    levels = {'at the start': 100 * knn[0]}
    if found and found.most_frequent:
      levels['most frequent class'] = 100 * found.most_frequent
    percent = [100 * value for value in knn]
    drawn.append(curve('online kNN', (steps, percent), levels, unit=' %'))
  rank = series(points, 'effective_rank')
  if rank[0]:
    drawn.append(curve('effective rank of the features', rank, {'collapse': 1}))
  return [f'<div class="curves">{"".join(drawn)}</div>'] if drawn else []


def _results(workdir: Workdir) -> list[str]:
  found = results.read_results(workdir.path)
  if not found:
    return []
  words = 'The first number of each; all are in results/ of the workdir.'
  return [blocks.heading('Evaluations', words), blocks.results(found)]


def _rows(trained: Trained, source: Source) -> list[np.ndarray]:
  """Returns pictures, features, labels and records, evenly spread."""
  exported = trained.encoder
  encode = encode_fn(exported.encoder, exported.variables, exported.normalize)
  parts: list[list[np.ndarray]] = [[], [], [], []]
  for batch in sources.batches(source, exported, limit=_ON_MAP):
    mask = batch['mask']
    features = np.asarray(encode(batch['image']), np.float32)
    for part, rows in zip(
      parts,
      (batch['image'], features, batch['label'], batch['index']),
      strict=True,
    ):
      part.append(rows[mask])
  return [np.concatenate(part) for part in parts]


def _copies(images: np.ndarray, index: np.ndarray, source: Source) -> list[str]:
  """Returns a box that names pictures which are the same to the encoder."""
  first: dict[bytes, int] = {}
  pairs = []
  for image, record in zip(images, index.tolist(), strict=True):
    other = first.setdefault(image.tobytes(), record)
    if other != record:
      pairs.append(f'{source.describe(record)} = {source.describe(other)}')
  if not pairs:
    return []
  lines = [
    f'{len(pairs)} of {len(images)} pictures are the same as another, as the '
    'encoder sees them:'
  ]
  return [blocks.box([*lines, *pairs[:_NAMED]], bad=True)]


def _map(images: np.ndarray, features: np.ndarray) -> list[str]:
  if len(images) < 4 or features.shape[1] < 2:
    return []
  step = max(1, images.shape[1] // _THUMBNAIL)
  points, share = pca(unit(features))
  words = (
    f'{len(images)} pictures on the two principal axes of their features '
    f'({share.sum():.0%} of the variance): those side by side are alike to the '
    'encoder.'
  )
  small = images[:, ::step, ::step]
  drawn = mosaic.mosaic(show_like(small)(small), points)
  shown = blocks.picture(drawn, 'map of pictures')
  return [blocks.heading('Map', words) + f'<div class="map">{shown}</div>']
