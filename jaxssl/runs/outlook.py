"""What a run will do, said before it starts."""

from collections.abc import Iterator
import logging
from typing import Any

import jax

from jaxssl import scale
from jaxssl.augment.any_channels import left_out
from jaxssl.augment.bands import RGB, num_channels
from jaxssl.augment.recipes import RECIPES
from jaxssl.build import Run
from jaxssl.ops.schedules import highest
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)
# From so many pictures on, training from random weights is worth a try.
_ENOUGH = 10_000


def tell(run: Run, workdir: Workdir, step: int) -> None:
  """Writes to the log what is trained on what, and of a new run how.

  Args:
    run: the run.
    workdir: where it lies.
    step: number of finished steps.
  """
  devices = jax.devices()
  config, source = run.config, run.source
  _log.info(
    '%s with %s on %s: %d images%s, %d steps of %d (%.1f epochs), %s on %d %s '
    'device(s)',
    config['method']['name'],
    config['encoder']['name'],
    source.name,
    source.num_examples,
    _held_out(source),
    run.num_steps,
    run.train.batch_size,
    run.num_steps / run.steps_per_epoch,
    run.train.mode,
    run.train.num_devices or len(devices),
    devices[0].platform,
  )
  if not step:
    for sentence in _sentences(run, workdir):
      _log.info('%s', sentence)


def _held_out(source: Any) -> str:
  """Returns what the first line says of pictures that are kept for test."""
  count = getattr(source, 'num_held_out', 0)
  if not count:
    return ''
  of = ' of each class' if source.class_names else ''
  return f' and {count} held out for test (a share{of}, chosen by content)'


def _sentences(run: Run, workdir: Workdir) -> Iterator[str]:
  config, source = run.config, run.source
  optim = config['optim']
  kind = config['encoder'].get('dtype', 'float32')
  yield (
    f'The pictures have about {scale.side_of(source)} pixels, the views '
    f'{config["augment"]["size"]}; {optim["name"]} in {kind} with a learning '
    f'rate of up to {highest(run.learning_rate, run.num_steps):.2g}.'
  )
  looks = f'a look at the features every {run.eval.steps}'
  if run.augment.bands is not None:
    yield _channels(run)
  yield (
    f'A checkpoint every {run.train.checkpoint_steps} steps, '
    f'{looks if run.eval.steps else "no look at the features"}.'
  )
  yield (
    f'All numbers are in {workdir.config_path}; --epochs, --steps, '
    '--batch_size, --image_size and --device change them in a new workdir.'
  )
  if (classes := len(source.class_names or ())) > 1:
    yield f'By chance, kNN would find {1 / classes:.1%} of {classes} classes.'
  if source.num_examples < _ENOUGH and run.train.init_encoder is None:
    yield (
      f'{source.num_examples:,} pictures are few: released weights may serve '
      'better (jaxssl import timm NAME --workdir DIR; then jaxssl adapt).'
    )


def _channels(run: Run) -> str:
  """Says how pictures are read that are not made 8-bit RGB."""
  bands = run.augment.bands
  values = bands and bands.value_range
  low, high = values or ('0', 'the largest value of the files')
  recipe = RECIPES[run.config['augment']['name']]()
  dropped = left_out(recipe) if num_channels(bands) != RGB else []
  return (
    f'Their {num_channels(bands)} channel(s) are kept as stored, {low} to '
    f'{high} as 0 to 1, with mean and deviation of input.mean and input.std'
    + (f'; the views do without {", ".join(dropped)}' if dropped else '')
    + '.'
  )
