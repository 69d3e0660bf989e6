"""What training makes of the first pictures of a run."""

import dataclasses

import jax
import numpy as np

from jaxssl.build import Run
from jaxssl.data.shown import show_like
from jaxssl.job import make_job
from jaxssl.methods.base import Batch
from jaxssl.pictures.views import view_grid
from jaxssl.train.loop import on_device_part

_LETTERS = 18  # of a name, below a picture


def first_views(run: Run, rows: int) -> np.ndarray:
  """Draws the first pictures of a run, and their views beside them.

  Args:
    run: its objects.
    rows: how many pictures.

  Returns:
    uint8 [height, width, 3].
  """
  batch, index = _first_rows(run, rows)
  key, augment = jax.random.key(run.seed), run.augment
  views = jax.jit(lambda b: augment(key, b)['views'])(batch)
  pictures = [np.asarray(augment.denormalize(view)) for view in views]
  if 'image' not in batch:
    # The host keeps whole pictures to itself; the same ones, not cropped.
    whole = dataclasses.replace(run.input, crop='device')
    batch, _ = _first_rows(dataclasses.replace(run, input=whole), rows)
  # Of a path, its end: the first letters are those of all.
  names = [run.source.describe(i)[-_LETTERS:] for i in index.tolist()]
  whole_pictures = np.asarray(batch['image'])
  show = show_like(whole_pictures)
  return view_grid(
    show(whole_pictures), [show(view) for view in pictures], names=names
  )


def _first_rows(run: Run, rows: int) -> tuple[Batch, np.ndarray]:
  """Returns rows of the first batch, and which records they are."""
  train = dataclasses.replace(run.train, batch_size=rows)
  batches = make_job(
    dataclasses.replace(run, train=train), dry=True
  ).make_batches(0)
  try:
    batch = next(batches)
  finally:
    batches.close()
  return on_device_part(batch), np.asarray(batch['index'])
