"""Batches of a source for training and evaluation.

A training batch is a pure function of (source, seed, step): `order.py` says
which record stands in which row, and crops take their randomness from (seed,
epoch, record, view), captions from (seed, epoch, record). A run that resumes
asks for `first_step` and gets the same bytes without replaying anything.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
from typing import Any

import numpy as np

from jaxssl.augment.bands import Bands, fields_of
from jaxssl.augment.crop_spec import CropSpec, Resizer
from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.data import order, resizers
from jaxssl.data.decode import MAX_PIXELS
from jaxssl.data.rows import EncodeText, Faults, Plan
from jaxssl.data.source import Source
from jaxssl.data.stream import Reader
from jaxssl.data.threads import ThreadReader, suits
from jaxssl.errors import UserError

Batch = dict[str, Any]

_ENDLESS = 2**62


class TrainBatches:
  """The endless batches of one process; made by `train_batches`."""

  def __init__(
    self, reader: Reader | ThreadReader, faults: Faults, *, cropped: bool
  ):
    self._reader = reader
    self._faults = faults
    self._cropped = cropped

  def __iter__(self) -> Iterator[Batch]:
    return self

  def __next__(self) -> Batch:
    rows = self._reader.read()
    pictures = rows.pop('pictures')
    batch = {name: rows[name] for name in rows if name != 'position'}
    if self._cropped:
      return {'crops': pictures, **batch}
    return {'image': pictures[0], **batch}

  @property
  def bad(self) -> int:
    """Number of different records found unreadable so far."""
    return self._faults.count

  @property
  def wait_seconds(self) -> float:
    """Seconds spent so far waiting for batches."""
    return self._reader.wait_seconds

  def close(self) -> None:
    """Stops the threads that read ahead."""
    self._reader.close()


def train_batches(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
  crops: tuple[CropSpec, ...] | None = None,
  bands: Bands | None = None,
  resizer: Resizer = 'pillow',
  image_size: int | None = None,
  process_index: int = 0,
  process_count: int = 1,
  strict: bool = False,
  prefetch: int = 2,
  num_threads: int | None = None,
  max_pixels: int = MAX_PIXELS,
  encode_text: EncodeText | None = None,
  captions: int = 1,
  on_bad: Callable[[str, str], None] | None = None,
) -> TrainBatches:
  """Returns the endless batches of this process from `first_step` on.

  Args:
    source: what to read.
    batch_size: rows of the global batch, over all processes.
    seed: seed of the order and of the crops.
    first_step: number of the first batch to return.
    crops: random crops to make on the host, one view each. Without them whole
      pictures are returned, to be cropped on the device.
    bands: how pictures are read whose channels are kept as stored; None: all
      are made 8-bit RGB.
    resizer: what resizes `crops`; see `resizers`.
    image_size: side of whole pictures: the shorter side is resized to it
      (bicubic) and the centre is cut out. May be None if all pictures of the
      source have one size. Not used with `crops`.
    process_index: this process.
    process_count: number of processes.
    strict: raise for an unreadable record instead of replacing it by the next
      readable one.
    prefetch: batches to hold ready.
    num_threads: threads that decode; None for one a core.
    max_pixels: records with more pixels are not decoded but count as bad.
    encode_text: captions to int32 [n, L], such as `text.Tokenizer.encode`; None
      for batches without text.
    captions: captions K of a row; a record that has fewer gives some of them
      again.
    on_bad: called with name and reason of each bad record, once; None logs a
      warning.

  Returns:
    An iterator of dicts: `image` uint8 [b, S, S, 3], or `crops`, a tuple of
    uint8 [b, S_v, S_v, 3], with `bands` uint16 of C channels; `label` int32
    [b], -1 where unknown; `index` int64 [b], the record in its source; with
    `encode_text`, `text` int32 [b, L], of a caption that is drawn from those of
    the record, or [b, K, L] of several. b = batch_size / process_count.

  Raises:
    UserError: if the batch does not divide among the processes, `image_size`
      or the resizer is missing, or text is asked of a source without captions;
      on iteration,
      with `strict`, for an unreadable record, and if no record can be read at
      all.
  """
  if source.content != 'pixels' and not crops and image_size is None:
    raise UserError(
      f'{source.name}: pictures may differ in size; give image_size or crops'
    )
  check_bands(source, bands)
  if crops:
    resizers.check(resizer, bands)
  if encode_text is not None:
    check_captions(source)
  positions = functools.partial(
    order.rows_of,
    batch_size=batch_size,
    process_index=process_index,
    process_count=process_count,
  )
  positions(first_step)
  whole = None
  if image_size is not None:
    whole = usual(image_size, crop_fraction=1.0, **fields_of(bands))
  faults = Faults(source, strict=strict, on_bad=on_bad)
  plan = Plan(
    source=source,
    locate=functools.partial(source.locate, seed=seed),
    seed=seed,
    crops=tuple(crops or ()),
    preprocessing=whole,
    bands=bands,
    resizer=resizer,
    max_pixels=max_pixels,
    encode_text=encode_text,
    captions=captions,
  )
  reader = _reader(
    plan,
    positions,
    first_step=first_step,
    last_step=_ENDLESS,
    faults=faults,
    replace=True,
    prefetch=prefetch,
    num_threads=num_threads,
  )
  return TrainBatches(reader, faults, cropped=bool(crops))


def _reader(
  plan: Plan,
  positions: Callable[[int], np.ndarray],
  *,
  faults: Faults,
  replace: bool,
  **options: Any,
) -> Reader | ThreadReader:
  if suits(plan):
    return ThreadReader(plan, positions, **options)
  return Reader(plan, positions, faults=faults, replace=replace, **options)


def check_bands(source: Source, bands: Bands | None) -> None:
  """Refuses pixels in memory where pictures of other channels are due.

  Raises:
    UserError: if the source holds 8-bit RGB pixels, and bands are given.
  """
  if bands is not None and source.content == 'pixels':
    raise UserError(
      f'{source.name} holds 8-bit RGB pixels, and no pictures of '
      f'{bands.channels} channels; leave config.input.channels out, or give '
      'files'
    )


def check_captions(source: Source) -> None:
  """Refuses a source that a method with texts cannot be trained on.

  Raises:
    UserError: if the source has no captions.
  """
  if source.captions is None:
    raise UserError(
      f'{source.name} has no captions; give image-text pairs: a tar, tfrecord '
      'or table source, photos, or a folder with its captions'
    )


def eval_batches(
  source: Source,
  *,
  batch_size: int,
  preprocessing: Preprocessing | None = None,
  image_size: int | None = None,
  limit: int | None = None,
  strict: bool = False,
  max_pixels: int = MAX_PIXELS,
  on_bad: Callable[[str, str], None] | None = None,
) -> Iterator[Batch]:
  """Yields every record once, in order, whole and in full batches.

  Args:
    source: what to read.
    batch_size: rows of a batch.
    preprocessing: how pictures are read, resized and cut; S is its
      `image_size`.
      Mean and deviation are left to the device (`ExportedEncoder.normalize`,
      `Augment.normalize`).
    image_size: S of the usual rule (`preprocessing.usual`), in its place.
    limit: read only so many records, evenly spread over the source.
    strict: raise for an unreadable record instead of masking it.
    max_pixels: records with more pixels are not decoded but count as bad.
    on_bad: called with name and reason of each bad record, once; None logs a
      warning.

  Yields:
    Dicts of `image` uint8 [b, S, S, 3] (of a rule with channels uint16
    [b, S, S, C]), `label` int32 [b], `index` int64 [b],
    and `mask` bool [b], False where a row only fills the last batch or its
    record cannot be read.

  Raises:
    UserError: for a batch that is not positive, and unless one of
      `preprocessing` and `image_size` is given; with `strict`, for an
      unreadable record.
  """
  if (preprocessing is None) == (image_size is None):
    raise UserError('give either preprocessing or image_size')
  if image_size is not None:
    preprocessing = usual(image_size)
  bands = preprocessing.bands if preprocessing else None
  check_bands(source, bands)
  if batch_size <= 0:
    raise UserError(f'batch_size is {batch_size}; it must be positive')
  total = source.num_examples
  count = total if limit is None else min(limit, total)
  plan = Plan(
    source=source,
    locate=lambda p: (np.zeros_like(p), p * total // count),
    preprocessing=preprocessing,
    bands=bands,
    max_pixels=max_pixels,
  )
  steps = -(-count // batch_size)
  reader = _reader(
    plan,
    lambda s: np.arange(s * batch_size, min((s + 1) * batch_size, count)),
    first_step=0,
    last_step=steps,
    faults=Faults(source, strict=strict, on_bad=on_bad),
    replace=False,
    prefetch=2,
    num_threads=None,
  )
  return _read(reader, steps, batch_size)


def _read(
  reader: Reader | ThreadReader, steps: int, batch_size: int
) -> Iterator[Batch]:
  """Yields batches, and stops the threads at the end or when it is dropped."""
  # TensorFlow holds the reader and would keep the threads of every pass.
  with contextlib.closing(reader):
    for _ in range(steps):
      yield _padded(reader.read(), batch_size)


def _padded(rows: dict[str, Any], size: int) -> Batch:
  missing = size - len(rows['index'])

  def fill(values: np.ndarray, value: int) -> np.ndarray:
    widths = [(0, missing)] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, widths, constant_values=value)

  index = fill(rows['index'], -1)
  return {
    'image': fill(rows['pictures'][0], 0),
    'label': fill(rows['label'], -1),
    'index': index,
    'mask': index >= 0,
  }
